/** Every script of `examples/`, run as a user runs it. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../examples/", import.meta.url);
const names = Array.from(Deno.readDirSync(FOLDER), ({ name }) => name).filter((name) =>
  name.endsWith(".ts")
);

Deno.test("the examples folder is not empty", () => {
  assert.ok(names.length > 0);
});

/** Runs an example, and gives what it prints.
 * @throws {Error} it fails
 */
async function run(name: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", fileURLToPath(new URL(name, FOLDER))],
  }).output();
  const decoder = new TextDecoder();
  assert.ok(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

/** What follows a word, everywhere. */
const numbersAfter = (word: string, text: string) =>
  [...text.matchAll(new RegExp(`${word} (\\S+)`, "g"))].map(([, number]) => Number(number));

const printed = new Map<string, Promise<string>>();
const printedBy = (name: string) => {
  const known = printed.get(name) ?? run(name);
  printed.set(name, known);
  return known;
};

for (const name of names) {
  Deno.test(`examples/${name} runs to the end, and its loss falls`, async () => {
    const text = await printedBy(name);
    const losses = numbersAfter("loss", text);
    assert.ok(losses.length > 2, `losses must be printed, got ${text}`);
    assert.ok(losses.at(-1)! < 0.7 * losses[0], `the loss must fall, got ${losses.join(", ")}`);
  });
}

Deno.test("the residual example's reconstruction improves with every level", async () => {
  const errors = numbersAfter("mse", await printedBy("residual_quantizer.ts"));
  assert.equal(errors.length, 3);
  for (const level of [1, 2]) {
    assert.ok(errors[level] < 0.97 * errors[level - 1], `${errors}`); // Measured: 0.68 and 0.94.
  }
});
