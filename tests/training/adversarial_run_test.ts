import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { readCheckpoint } from "../../training/checkpoint.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { assertSameEnd, type TinyOptions, tinyRivals, trainTiny, withFolder } from "./tiny.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

const STEPS = 12;

/** Two epochs of six steps each; a report comes every other and every third step. */
async function trainBoth(path: string, options: Partial<TinyOptions> = {}) {
  return await trainTiny({ device, path, epochs: 2, construct: tinyRivals, ...options });
}

Deno.test("a checkpoint contains both networks, both optimisers and the running statistics", () =>
  withFolder(async (path) => {
    const before = device.liveBytes;
    const { finished, test } = await trainBoth(path);
    assert.equal(device.liveBytes, before);
    assert.ok(finished && Number.isFinite(test!.numbers.mse));
    const { state } = await readCheckpoint(new RunFolder(path).checkpoint("last"));
    const rooms = new Set([...state.keys()].map((name) => name.split(".")[0]));
    assert.deepEqual([...rooms].sort(), [
      ...["codebook", "discriminator", "discriminatorOptimizer", "model", "optimizer", "step"],
    ]);
    const variance = state.get("discriminator.stages.0.norm.runningVariance")!.values;
    assert.ok(variance.every((value) => value !== 1), "the statistics moved");
    assert.deepEqual(state.get("discriminatorOptimizer.steps")!.values, Int32Array.of(STEPS - 3));
    const lines = (await Deno.readTextFile(`${path}/metrics.jsonl`)).trim().split("\n");
    const steps = lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === "step");
    for (const { step, adaptiveWeight } of steps) {
      assert.equal(adaptiveWeight > 0, step >= 6, `step ${step}: ${adaptiveWeight}`);
    }
    for (const name of ["generatorLoss", "discriminatorLoss", "logitsReal", "logitsFake"]) {
      assert.ok(Number.isFinite(steps.at(-1)[name]) && steps.at(-1)[name] !== 0, name);
    }
  }));

Deno.test("an adversarial run stopped at any step and resumed ends with the same bytes as an uninterrupted one", () =>
  withFolder(async (whole) => {
    await trainBoth(whole);
    for (let last = 1; last < STEPS; last++) {
      await withFolder(async (path) => {
        const controller = new AbortController();
        // In a step the schedule is asked for its rate.
        const learningRate = (step: number) => {
          if (step === last - 1) controller.abort();
          return 1e-3;
        };
        const stopped = await trainBoth(path, { learningRate, signal: controller.signal });
        assert.deepEqual([stopped.finished, stopped.steps], [false, last]);
        const resumed = await trainBoth(path, { resume: true });
        assert.equal(resumed.finished, true);
        await assertSameEnd(path, whole, `stopped in step ${last}`);
      });
    }
  }));
