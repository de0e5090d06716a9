/** Builds the demonstration page and serves it.
 *
 *     deno task page --serve --open
 */
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { openPage } from "./open_page.ts";
import { Output } from "./output.ts";

const ROOT = new URL("../", import.meta.url);

/** The page's files besides its program: their paths in the project and their names in the output. */
const FILES: readonly (readonly [from: string, to: string])[] = [
  ["page/index.html", "index.html"],
  ["page/style.css", "style.css"],
  ["page/digits.png", "digits.png"],
  ["page/weights/stage1.safetensors", "stage1.safetensors"],
  ["page/weights/transformer.safetensors", "transformer.safetensors"],
  ["page/weights/diffusion.safetensors", "diffusion.safetensors"],
  ["core/cpu/kernels.wasm", "kernels.wasm"],
];

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css",
  js: "text/javascript",
  png: "image/png",
  wasm: "application/wasm",
};

/** The device `cpu` has several threads only with these headers, and some browsers run it only with them. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

const OPTIONS = z.strictObject({
  serve: z.boolean().default(false).describe("serves the page once it is built"),
  port: z.int().min(0).max(65535).default(8000).describe("the port; 0 takes a free one"),
  open: z.boolean().default(false).describe("opens the served page in the browser"),
  host: z.string().min(1).default("localhost").describe("the address of this machine to listen on"),
});

const COMMAND: Command = {
  call: "deno task page",
  summary: "Builds the page: static files in dist/, for any web server.",
  operands: [],
  options: settingsOf(OPTIONS),
  settings: [],
};

/** Writes the page's files into a folder.
 * @param folder empty or not yet existing
 * @throws {Error} the program cannot be bundled, or a file cannot be written
 */
export async function buildPage(folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--platform", "browser", "--minify", "--code-splitting"],
      ...["--outdir", folder, "page/main.ts"],
    ],
    cwd: ROOT,
    stdin: "null",
  }).output();
  if (!success) {
    throw new Error(`Cannot build the page: ${new TextDecoder().decode(stderr).trim()}`);
  }
  for (const [from, to] of FILES) await Deno.copyFile(new URL(from, ROOT), join(folder, to));
}

/** Serves the files of a folder.
 * @throws {Error} the port is taken
 */
export function servePage(
  folder: string,
  { port, hostname, onListen }: Deno.ServeTcpOptions & { readonly port: number },
): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port, hostname, onListen }, async (request) => {
    const path = normalize(new URL(request.url).pathname);
    const name = path.endsWith("/") ? `${path}index.html` : path;
    const body = await Deno.readFile(join(folder, name)).catch(() => undefined);
    if (body === undefined) return new Response("There is no such file.", { status: 404 });
    const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    return new Response(body, { headers: { "content-type": type, ...ISOLATED } });
  });
}

/** Builds into a temporary folder first, so that a failed build leaves the existing one intact. */
async function rebuild(folder: string): Promise<void> {
  const partial = `${folder}.partial`;
  const remove = async (path: string) =>
    await Deno.remove(path, { recursive: true }).catch((error: Error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  await remove(partial);
  await buildPage(partial);
  await remove(folder);
  await Deno.rename(partial, folder);
}

/** Runs the task and gives the exit code.
 * @param args of the command line
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const { serve, port, host, open } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  if (open && !serve) {
    throw new UsageError("Cannot open the page: --open must be given with --serve, got it alone");
  }
  const folder = fileURLToPath(new URL("dist", ROOT));
  await rebuild(folder);
  console.log(`The page is in ${folder}`);
  if (!serve) return 0;
  const onListen = ({ port }: Deno.NetAddr) => {
    const address = new URL(`http://${host}:${port}/`);
    console.log(`It is served at ${address} until Ctrl-C`);
    if (open) void openPage(address, new Output(false));
  };
  await servePage(folder, { port, hostname: host, onListen }).finished;
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
