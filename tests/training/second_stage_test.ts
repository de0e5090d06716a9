/** Runs of what stands on a first stage: stopped and resumed, and what they leave. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import type { FirstStage } from "../../models/first_stage.ts";
import type { Generator } from "../../objectives/generator.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { train, type TrainingSummary, type TrainOptions } from "../../training/trainer.ts";
import { makeObjective, stripes, tinyFirstStage } from "../objectives/second_stage.ts";
import { assertSameEnd, withFolder } from "./tiny.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

/** Codes of a position of the first stage, or its scales. */
const CODES = {
  "autoregression": undefined,
  "masking": undefined,
  "residual-autoregression": 2,
  "imagebart": undefined,
  "next-scale": [1, 2, 3],
};

async function trainSecond(
  type: keyof typeof CODES,
  stage1: FirstStage,
  path: string,
  options: Partial<TrainOptions> = {},
): Promise<TrainingSummary> {
  const own = { "residual-autoregression": { depthLayers: 1 }, "imagebart": { encoderLayers: 1 } };
  using objective = makeObjective(device, {
    type,
    stage1,
    settings: { conditional: true },
    model: { layers: 1, dropout: 0.2, ...own[type as keyof typeof own] },
  }) as Generator;
  return await train({
    device,
    objective,
    dataset: stripes(),
    seed: 7,
    batchSize: 6,
    epochs: 2,
    logEverySteps: 2,
    checkpointEverySteps: 2,
    folder: new RunFolder(path),
    identity: { type },
    averageDecay: 0.9,
    ...options,
  });
}

for (const [name, codes] of Object.entries(CODES)) {
  const type = name as keyof typeof CODES;
  Deno.test(`${type}: a run stopped and resumed ends with the same bytes as an uninterrupted one`, () =>
    withFolder(async (whole) => {
      using stage1 = await tinyFirstStage(device, codes);
      const before = device.liveBytes;
      const { test } = await trainSecond(type, stage1, whole);
      assert.equal(device.liveBytes, before, "bytes alive after the run");
      assert.ok(Number.isFinite(test!.numbers[test!.rankBy]));
      for (const last of [1, 4, 5]) {
        await withFolder(async (path) => {
          const controller = new AbortController();
          const stopped = await trainSecond(type, stage1, path, {
            signal: controller.signal,
            logEverySteps: 1,
            onProgress: ({ step }) => step === last && controller.abort(),
          });
          assert.equal(stopped.finished, false);
          const resumed = await trainSecond(type, stage1, path, { resume: true });
          assert.equal(resumed.finished, true);
          await assertSameEnd(path, whole, `stopped in step ${last}`);
        });
      }
      const text = await Deno.readTextFile(`${whole}/metrics.jsonl`);
      const epochs = text.trimEnd().split("\n").map((line) => JSON.parse(line))
        .filter(({ kind }) => kind === "epoch");
      const [series] = Object.values(epochs[0].series) as number[][];
      assert.equal(series.length, codes instanceof Array ? 14 : 9 * (codes ?? 1));
      assert.deepEqual(
        Array.from(Deno.readDirSync(`${whole}/samples`), ({ name }) => name).sort(),
        ["epoch-001.png", "epoch-002.png"],
      );
    }));
}
