/** docs/tutorial.ipynb, executed by Deno's kernel. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { findPython } from "./python.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

interface CellOutput {
  readonly text?: string;
  readonly data?: Readonly<Record<string, string>>;
}

const python = await findPython(
  "jupyter_client",
  "python3-jupyter-client",
  "the tutorial's cells are not executed",
);

if (python !== undefined) {
  Deno.test("the tutorial's cells run in Deno's Jupyter kernel, and show images and codebooks", async () => {
    const { code, stdout, stderr } = await new Deno.Command(python, {
      args: [path("run_notebook.py"), path("../docs/tutorial.ipynb"), Deno.execPath()],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const cells: readonly (readonly CellOutput[])[] = JSON.parse(new TextDecoder().decode(stdout));
    const outputs = cells.flat();
    const shown = (type: string) => outputs.flatMap(({ data }) => data?.[type] ?? []);
    assert.equal(shown("image/png").length, 2, "images, and their reconstructions");
    const [plots] = shown("text/html");
    const used = [...plots.matchAll(/(\w+): (\d+) of 64 codes in use/g)]
      .map(([, name, count]) => [name, Number(count)] as const);
    const { vanilla, clustered } = Object.fromEntries(used);
    assert.ok(vanilla < 32 && clustered > 48, `collapse and its cure, got ${plots.slice(0, 200)}`);
    assert.match(outputs.map(({ text = "" }) => text).join(""), /step 160: loss /);
  });
}

Deno.test("the tutorial is stored without outputs", async () => {
  const { cells } = JSON.parse(await Deno.readTextFile(path("../docs/tutorial.ipynb")));
  for (const { cell_type, outputs, execution_count } of cells) {
    if (cell_type === "code") assert.deepEqual([outputs, execution_count], [[], null]);
  }
});
