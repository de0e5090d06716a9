/** The Python of docs/interop.md, run on a checkpoint. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readSafetensors } from "../../files/safetensors.ts";
import { findPython } from "../python.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const checkpoint = path("../fixtures/run-before-objectives/checkpoints/last.safetensors");

/** Prints each array's shape and its last value. */
const PRINT = `
import sys
print(json.dumps({name: [a.shape, float(a.reshape(-1)[-1])] for name, a in load(sys.argv[1]).items()}))
`;

const python = await findPython(
  "numpy",
  "python3-numpy",
  "the Python of docs/interop.md is not run",
);

if (python !== undefined) {
  Deno.test("the documented Python loads a checkpoint's weights in PyTorch's order", async () => {
    const page = await Deno.readTextFile(path("../../docs/interop.md"));
    const [, code] = page.match(/```python\n([\s\S]*?)```/)!;
    const { code: status, stdout, stderr } = await new Deno.Command(python, {
      args: ["-c", code + PRINT, checkpoint],
    }).output();
    assert.equal(status, 0, new TextDecoder().decode(stderr));
    const loaded: Record<string, [number[], number]> = JSON.parse(new TextDecoder().decode(stdout));
    const { tensors } = await readSafetensors(checkpoint);
    assert.deepEqual(Object.keys(loaded).sort(), [...tensors.keys()].sort());
    for (const [name, { shape, values }] of tensors) {
      const [h, w, from, to] = shape;
      const expected = shape.length === 4 ? [to, from, h, w] : shape;
      assert.deepEqual(loaded[name], [expected, values.at(-1)], name);
    }
  });
}
