/** Builds the programs of this folder for a browser, and serves their pages. */
import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

/** Bundles a module of the project for browsers, and gives the bytes of all that came. */
export async function bundle(module: string, out: string): Promise<number> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--platform", "browser", "--minify", "--code-splitting"],
      ...["--outdir", out, module],
    ],
    cwd: ROOT,
    stdin: "null",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const files = [...Deno.readDirSync(out)].map(({ name }) => Deno.statSync(`${out}/${name}`).size);
  return files.reduce((sum, size) => sum + size, 0);
}

/** Puts a program of this folder into another, with all that it loads. */
export async function buildProgram(program: string, out: string): Promise<void> {
  await Promise.all([`tests/web/${program}.ts`, "tests/web/assert.ts"].map((m) => bundle(m, out)));
  await Deno.copyFile(new URL("core/cpu/kernels.wasm", ROOT), `${out}/kernels.wasm`);
}

/** The page of a program; checks that stand on Node's assertions find those of `assert.ts`. */
const html = (program: string) =>
  `<!doctype html>
<script type="importmap">{"imports": {"node:assert/strict": "/assert.js"}}</script>
<script type="module" src="/${program}.js"></script>`;

/** Answers a request for the page of a program, at `/`, or for a file beside it.
 * @param out where the program was built
 * @param headers to send with it
 */
export async function answerWith(
  program: string,
  out: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const typed = (body: BodyInit, type: string) =>
    new Response(body, { headers: { "content-type": type, ...headers } });
  if (path === "/") return typed(html(program), "text/html");
  const file = await Deno.readFile(`${out}${path}`).catch(() => undefined);
  if (file === undefined) return new Response(null, { status: 404 });
  return typed(file, path.endsWith(".wasm") ? "application/wasm" : "text/javascript");
}
