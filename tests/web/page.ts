/** The program of the page that the tests of the browser open: it computes on each device and sends back what came. */
import type { DeviceName } from "../../web.ts";
import { compute } from "./program.ts";

async function main(): Promise<unknown> {
  const checkpoint = new Uint8Array(await (await fetch("/checkpoint.safetensors")).arrayBuffer());
  const results: Record<string, unknown> = {};
  for (const name of ["reference", "cpu", "webgpu"] satisfies DeviceName[]) {
    results[name] = await compute(name, checkpoint)
      .catch((error: Error) => ({ failure: `${error.stack}` }));
  }
  return { results };
}

const answer = await main().catch((error: Error) => ({ failure: `${error.stack}` }));
await fetch("/result", { method: "POST", body: JSON.stringify(answer) });
