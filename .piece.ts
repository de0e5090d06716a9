// deno run -A piece.ts FROM TO : in /tmp/docs-co
import { jobsIn } from "/work/wt-docs/tests/docs/jobs.ts";
import { UserCheckout } from "/work/wt-docs/tests/docs/user_checkout.ts";
const [from, to] = Deno.args.map(Number);
const link = "/tmp/docs-co";
const co = new UserCheckout();
if (from !== 0) { Deno.removeSync(co.folder,{recursive:true}); (co as any).folder = Deno.readTextFileSync(link); }
else Deno.writeTextFileSync(link, co.folder);
for (const [i, j] of jobsIn(co.folder, {mpi:true}).entries()) {
  if (i < from || i >= to) continue;
  const t=performance.now(); const p = await co.problemOf(j.line);
  console.log(i, ((performance.now()-t)/1000).toFixed(1), p === undefined ? "ok" : "FAILED", p ?? j.line);
}
