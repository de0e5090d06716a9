/** Every script of `examples/`, run as a user runs it. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../examples/", import.meta.url);
const names = Array.from(Deno.readDirSync(FOLDER), ({ name }) => name).filter((name) =>
  name.endsWith(".ts")
);

Deno.test("there are examples", () => {
  assert.ok(names.length > 0);
});

for (const name of names) {
  Deno.test(`examples/${name} runs to its end, and its loss falls`, async () => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", fileURLToPath(new URL(name, FOLDER))],
    }).output();
    const decoder = new TextDecoder();
    assert.ok(success, decoder.decode(stderr));
    const losses = [...decoder.decode(stdout).matchAll(/loss (\S+)/g)].map(([, loss]) => +loss);
    assert.ok(losses.length > 2, `losses must be printed, got ${decoder.decode(stdout)}`);
    assert.ok(losses.at(-1)! < 0.7 * losses[0], `the loss must fall, got ${losses.join(", ")}`);
  });
}
