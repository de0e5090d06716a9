/** A checkout that another project uses: its types hold there, and it runs. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import imports from "../import_map.json" with { type: "json" };
import { withFolder } from "./training/tiny.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const PROGRAM = `import { openDevice, openRun } from "@codebook/codebook";
using device = await openDevice("reference");
using run = await openRun(Deno.args[0], device);
const images = device.tensor(new Float32Array(28 * 28), [1, 28, 28, 1]);
console.log(run.model.encode(images).indices.shape.join());
`;

/** Calls deno in a project of that configuration. */
async function inProject(config: object, ...args: readonly string[]): Promise<string> {
  let printed = "";
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/deno.json`, JSON.stringify(config));
    await Deno.writeTextFile(`${cwd}/main.ts`, PROGRAM);
    const run = {
      args: [...args],
      cwd,
      env: { NO_COLOR: "1" },
      stdin: "null",
    } satisfies Deno.CommandOptions;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), run).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    printed = new TextDecoder().decode(stdout);
  });
  return printed;
}

const FIXTURE = `${ROOT}tests/fixtures/run-before-objectives`;

Deno.test("a project that links to a checkout type-checks and runs", async () => {
  const config = {
    imports: { "@codebook/codebook": "jsr:@codebook/codebook@^0.1.0" },
    links: [ROOT],
  };
  const printed = await inProject(config, "run", "-A", "--check", "main.ts", FIXTURE);
  assert.equal(printed, "1,7,7\n");
});

Deno.test("a project whose import map names a checkout runs", async () => {
  const packages = Object.entries(imports.imports).filter(([, to]) => to.startsWith("npm:"));
  const config = {
    imports: { ...Object.fromEntries(packages), "@codebook/codebook": `${ROOT}mod.ts` },
  };
  assert.equal(await inProject(config, "run", "-A", "main.ts", FIXTURE), "1,7,7\n");
});
