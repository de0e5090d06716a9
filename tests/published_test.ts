/** The package as it is published: sent to a registry on this machine, and used from there. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url);
const NAME = "@codebook/codebook";

const folder = await Deno.makeTempDir({ prefix: "codebook-published-" });
const files = new Map<string, Uint8Array<ArrayBuffer>>();
let sent: Uint8Array<ArrayBuffer> | undefined;

/** The parts of JSR's interface that `deno publish` and `deno run` ask for. */
const registry = Deno.serve({ port: 0, onListen() {} }, async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith("/api/")) {
    const isVersion = pathname.includes("/versions/");
    if (request.method === "POST" && isVersion) {
      sent = new Uint8Array(await request.arrayBuffer());
      return Response.json({ id: "1", status: "success", error: null, packageName: "codebook" });
    }
    return isVersion
      ? Response.json({ code: "packageVersionNotFound", message: "none" }, { status: 404 })
      : Response.json({ scope: "codebook", name: "codebook" });
  }
  const bytes = files.get(pathname.slice(1));
  if (bytes === undefined) return new Response(null, { status: 404 });
  const type = { ts: "application/typescript", wasm: "application/wasm" }[
    pathname.slice(pathname.lastIndexOf(".") + 1)
  ];
  return new Response(bytes, { headers: { "content-type": type ?? "application/json" } });
});
Deno.test.afterAll(async () => {
  await registry.shutdown();
  const info = await run(Deno.execPath(), ["info", "--json"], folder);
  const { modulesCache } = JSON.parse(info.stdout);
  const kept = `${modulesCache}/http/localhost_PORT${registry.addr.port}`;
  await Deno.remove(kept, { recursive: true }); // What Deno fetched here is of no use to anyone.
  await Deno.remove(folder, { recursive: true });
});

const env = {
  JSR_URL: `http://localhost:${registry.addr.port}/`,
  JSR_API_URL: `http://localhost:${registry.addr.port}/api/`,
  NO_COLOR: "1",
};

async function run(program: string, args: readonly string[], cwd: string | URL) {
  const command = new Deno.Command(program, { args: [...args], cwd, env, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The files of a folder by their paths in it. */
function filesIn(path: string, prefix = ""): string[] {
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${path}/${name}`, `${prefix}${name}/`) : [`${prefix}${name}`]
  );
}

/** Publishes the project and puts what came where `deno run` looks for it. */
async function publish(): Promise<void> {
  const flags = ["--token", "none", "--allow-dirty", "--no-check", "--no-provenance"];
  const { code, stderr } = await run(Deno.execPath(), ["publish", ...flags], ROOT);
  assert.equal(code, 0, stderr);
  assert.ok(sent !== undefined, stderr);
  await Deno.writeFile(`${folder}/package.tar.gz`, sent);
  await Deno.mkdir(`${folder}/package`);
  const unpack = ["-xzf", "package.tar.gz", "-C", "package"];
  assert.equal((await run("tar", unpack, folder)).code, 0);
  const manifest: Record<string, { readonly size: number; readonly checksum: string }> = {};
  const { version, exports } = config;
  for (const path of filesIn(`${folder}/package`)) {
    const bytes = await Deno.readFile(`${folder}/package/${path}`);
    files.set(`${NAME}/${version}/${path}`, bytes);
    const checksum = `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
    manifest[`/${path}`] = { size: bytes.length, checksum };
  }
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  files.set(`${NAME}/meta.json`, json({ latest: version, versions: { [version]: {} } }));
  files.set(`${NAME}/${version}_meta.json`, json({ manifest, exports }));
}

await publish();

Deno.test("tests, fixtures and developer tools are not published", () => {
  const paths = [...files.keys()].map((path) => path.slice(`${NAME}/${config.version}/`.length));
  assert.ok(paths.includes("core/cpu/kernels.wasm"));
  assert.deepEqual(paths.filter((path) => /^(?:tests|\.ci|bench\/peers)\//.test(path)), []);
});

Deno.test("the published command trains on the cpu, also with decoded images", async () => {
  const tiny = ["--model.hidden", "8", "--model.residualHidden", "4", "--training.maxSteps", "1"];
  const size = ["--data.size", "8", "--training.batchSize", "4", "--device", "cpu"];
  for (const data of ["shapes", "emoji"]) {
    const out = `${folder}/${data}`;
    const train = ["train", ...tiny, ...size, "--data.name", data, "--out", out];
    const args = ["run", "-A", "--no-lock", `jsr:${NAME}/cli`, ...train];
    const { code, stderr } = await run(Deno.execPath(), args, folder);
    assert.equal(code, 0, stderr);
    const { steps } = JSON.parse(await Deno.readTextFile(`${out}/summary.json`));
    assert.equal(steps, 1);
  }
});

Deno.test("the published modules name the packages of the emoji with their versions", () => {
  for (const vendor of ["google", "twitter"]) {
    const text = new TextDecoder().decode(
      files.get(`${NAME}/${config.version}/data/emoji_${vendor}.ts`),
    );
    const named = text.match(new RegExp(`"[^"]*emoji-datasource-${vendor}[^"]*"`, "g"))!;
    assert.equal(named.length, 2);
    for (const name of named) assert.match(name, /^"npm:.*@16\.0\.0\/emoji\.json"$/);
  }
});

Deno.test("every published entry point can be imported", async () => {
  const doors = Object.keys(config.exports).filter((door) => door !== "./cli");
  const lines = doors.map((door, at) =>
    `import * as door${at} from "jsr:${NAME}${door.slice(1)}";`
  );
  const names = doors.map((_, at) => `Object.keys(door${at}).length`);
  const program = `${folder}/doors.ts`;
  await Deno.writeTextFile(
    program,
    `${lines.join("\n")}\nconsole.log(JSON.stringify([${names}]));\n`,
  );
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["run", "-A", "--no-lock", program],
    dirname(program),
  );
  assert.equal(code, 0, stderr);
  const counts: number[] = JSON.parse(stdout);
  assert.equal(counts.length, doors.length);
  assert.ok(counts.every((count) => count > 0), stdout);
});
