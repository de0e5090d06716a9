/** A run that was made before runs had an objective and a type of model still opens, goes on and is measured. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readCheckpoint } from "../../training/checkpoint.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { identityOf, runHash } from "../../training/identity.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { lastLine, runTask } from "../tasks/child.ts";
import { withFolder } from "./tiny.ts";

const OLD = fileURLToPath(new URL("../fixtures/run-before-objectives", import.meta.url));
const RESUMED = new URL(
  "../fixtures/run-before-objectives/after-150-steps.safetensors",
  import.meta.url,
);

async function copyRun(path: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-r", `${OLD}/.`, path] }).output();
  assert.ok(success);
}

Deno.test("an old run keeps its identity and its name", async () => {
  const saved = await new RunFolder(OLD).readConfig();
  const config = resolveConfig({ saved });
  const { identity } = await readCheckpoint(new RunFolder(OLD).checkpoint("last"));
  assert.deepEqual(identityOf(config), identity);
  assert.equal(await runHash(config), "c68ad7d65c32");
  assert.equal(config.objective.type, "reconstruction");
  assert.equal(config.model.type, "vqvae");
});

Deno.test("an old run resumes to the same result", () =>
  withFolder(async (path) => {
    await copyRun(path);
    const options = ["--resume", "--out", path, "--training.maxSteps", "150"];
    const { code, stderr } = await runTask("train", options);
    assert.equal(code, 0, stderr);
    const { state } = await readCheckpoint(new RunFolder(path).checkpoint("last"));
    const { state: expected } = await readCheckpoint(fileURLToPath(RESUMED));
    assert.deepEqual([...state.keys()], [...expected.keys()]);
    for (const [name, { values }] of expected) {
      const found = state.get(name)!.values;
      values.forEach((value, at) =>
        assert.ok(
          Math.abs(found[at] - value) <= 1e-5 * (1 + Math.abs(value)),
          `${name}: ${value} became ${found[at]}`,
        )
      );
    }
  }));

Deno.test("an old run gives the same measurements", () =>
  withFolder(async (path) => {
    await copyRun(path);
    const { code, stdout, stderr } = await runTask("evaluate", [
      path,
      "--device",
      "reference",
      "--json",
    ]);
    assert.equal(code, 0, stderr);
    const { mse, usage } = lastLine(stdout) as { mse: number; usage: number };
    assert.ok(Math.abs(mse / 0.4560812041238175 - 1) < 1e-5, `${mse}`);
    assert.equal(usage, 1);
  }));
