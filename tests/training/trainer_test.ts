import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { holdOut } from "../../data/held_out.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Adam } from "../../nn/optimizers.ts";
import {
  createQuantizer,
  isComposite,
  QUANTIZER_TYPES,
  quantizerMethod,
} from "../../quantizers/registry.ts";
import type { CodebookHealth } from "../../objectives/codebook_watch.ts";
import { DivergedError } from "../../training/diverged.ts";
import { readCheckpoint } from "../../training/checkpoint.ts";
import { evaluationProtocol, protocolHash, type TestNumbers } from "../../objectives/protocol.ts";
import { RunFolder } from "../../training/run_folder.ts";
import type { TrainingProgress } from "../../training/trainer.ts";
import {
  assertSameEnd,
  lastCheckpoint,
  tinyModel,
  type TinyOptions,
  trainTiny,
  waves,
  withFolder,
} from "./tiny.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

const STEPS = 18;

/** The records of a kind in a run's metrics. */
async function records(path: string, kind: string): Promise<Record<string, unknown>[]> {
  const lines = (await Deno.readTextFile(`${path}/metrics.jsonl`)).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line)).filter((record) => record.kind === kind);
}

/** Stops a run in the middle of step `last`, counted from 1: in a step the schedule is asked for its rate. */
function stopAt(last: number): { signal: AbortSignal; learningRate: (step: number) => number } {
  const controller = new AbortController();
  const learningRate = (step: number) => {
    if (step === last - 1) controller.abort();
    return 1e-3;
  };
  return { signal: controller.signal, learningRate };
}

Deno.test("a run writes its measurements, checkpoints and samples, and leaves nothing on the device", () =>
  withFolder(async (path) => {
    const before = device.liveBytes;
    const progress: TrainingProgress[] = [], tests: number[] = [];
    const summary = await trainTiny({
      device,
      path,
      checkpointEverySteps: 6,
      onProgress: (now) => progress.push(now),
      onEpoch: ({ epoch, test }) => tests.push(epoch, Number(test.numbers.mse)),
    });
    assert.equal(device.liveBytes, before);

    assert.equal(summary.finished, true);
    assert.equal(summary.steps, STEPS);
    assert.ok(summary.imagesPerSecond! > 0);
    assert.deepEqual(progress.map(({ step }) => step), [3, 6, 9, 12, 15, 18]);
    assert.deepEqual(progress.map(({ epoch }) => epoch), [1, 1, 2, 2, 3, 3]);
    assert.ok(progress.every(({ totalSteps }) => totalSteps === STEPS));
    for (const { inspection } of progress) {
      const { codesInUse } = inspection.record.codebook as CodebookHealth;
      assert.ok(codesInUse >= 1 && codesInUse <= 8);
    }
    assert.ok(progress[5].scalars.loss < progress[0].scalars.loss);

    const epochs = await records(path, "epoch");
    assert.deepEqual(epochs.map(({ epoch, step }) => [epoch, step]), [[1, 6], [2, 12], [3, 18]]);
    const measured = epochs.map(({ test }) => (test as { mse: number }).mse);
    assert.deepEqual(tests, measured.flatMap((mse, index) => [index + 1, mse]));
    const lowest = Math.min(...measured);
    assert.deepEqual(summary.best, { epoch: measured.indexOf(lowest) + 1, mse: lowest });
    assert.equal(summary.test?.numbers.mse, measured[2]);
    const protocol = await protocolHash(evaluationProtocol(waves()));
    for (const { test } of epochs) assert.equal((test as TestNumbers).protocol, protocol);
    const mse = progress.slice(0, 2).reduce((sum, { scalars }) => sum + scalars.mse / 2, 0);
    assert.ok(Math.abs((epochs[0].train as { mse: number }).mse - mse) < 1e-9);
    assert.equal((await records(path, "step")).length, 6);

    const samples = Array.from(Deno.readDirSync(`${path}/samples`), ({ name }) => name).sort();
    assert.deepEqual(samples, ["epoch-001.png", "epoch-002.png", "epoch-003.png"]);
    const folder = new RunFolder(path);
    assert.deepEqual(await folder.counts(), [...summary.test!.counts!]);
    const { state } = await readCheckpoint(folder.checkpoint("best"));
    assert.deepEqual(state.get("step")?.values, Int32Array.of(6 * summary.best!.epoch));
  }));

Deno.test("the best epoch is chosen on held-out images, and the test images are measured once", () =>
  withFolder(async (path) => {
    const { training, validation } = holdOut(waves(), 0.25, 7);
    const { test, best } = await trainTiny({
      device,
      path,
      dataset: training,
      heldOut: validation,
    });
    const epochs = await records(path, "epoch");
    assert.ok(epochs.every((record) => record.test === undefined));
    const measured = epochs.map(({ validation }) => validation as { mse: number; images: number });
    assert.deepEqual(
      measured.map(({ images }) => images),
      measured.map(() => validation.sizes.test),
    );
    const lowest = Math.min(...measured.map(({ mse }) => mse));
    assert.equal(best!.mse, lowest);
    assert.equal(test!.numbers.images, 6);
    assert.notEqual(test!.protocol, (epochs[0].validation as { protocol: string }).protocol);
  }));

Deno.test("a finished run writes its model's weights to a file of their own, averaged if averaging is on", () =>
  withFolder(async (path) => {
    await trainTiny({ device, path, averageDecay: 0.9 });
    const folder = new RunFolder(path);
    const [last, weights] = await Promise.all(
      (["last", "weights"] as const).map((name) => readCheckpoint(folder.checkpoint(name))),
    );
    assert.ok([...weights.state.keys()].every((name) => name.startsWith("model.")));
    const name = "encoder.conv1.weight";
    const average = last.state.get(`average.values.${name}`)!.values;
    assert.deepEqual(weights.state.get(`model.${name}`)!.values, average);
    assert.notDeepEqual(last.state.get(`model.${name}`)!.values, average);
  }));

Deno.test("averaged weights are measured, and a stopped run resumes with the same bytes", () =>
  withFolder((whole) =>
    withFolder(async (path) => {
      const averaged = await trainTiny({ device, path: whole, averageDecay: 0.9 });
      await trainTiny({ device, path, averageDecay: 0.9, ...stopAt(8) });
      await trainTiny({ device, path, averageDecay: 0.9, resume: true });
      await assertSameEnd(path, whole);
      await withFolder(async (plain) => {
        const { test } = await trainTiny({ device, path: plain });
        assert.notEqual(test!.numbers.mse, averaged.test!.numbers.mse);
      });
    })
  ));

Deno.test("a run stopped at any step and resumed ends with the same bytes as an uninterrupted one", () =>
  withFolder(async (whole) => {
    await trainTiny({ device, path: whole });
    for (let step = 1; step < STEPS; step++) {
      await withFolder(async (path) => {
        const stopped = await trainTiny({ device, path, ...stopAt(step) });
        assert.deepEqual([stopped.finished, stopped.steps, stopped.test], [false, step, undefined]);
        const resumed = await trainTiny({ device, path, resume: true });
        assert.equal(resumed.finished, true);
        await assertSameEnd(path, whole, `stopped in step ${step}`);
        assert.deepEqual(await records(path, "epoch"), await records(whole, "epoch"));
      });
    }
  }));

Deno.test("every method resumes exactly, with k-means and replacement of dead codes", async () => {
  for (const type of QUANTIZER_TYPES) {
    const sizes = { codebookSize: 8, codebookDim: 4, scales: [1, 2] };
    const wanted = { initialization: "kmeans", replaceBelow: 1, ...sizes };
    const { shape } = quantizerMethod(type).schema;
    const settings = Object.entries(wanted).filter(([name]) => name in shape);
    const inner = isComposite(type) ? { inner: { codebookSize: 8 } } : {};
    const config = { type, ...Object.fromEntries(settings), ...inner };
    const trainMethod = async (path: string, options: Partial<TinyOptions> = {}) => {
      const key = randomKey(7, "model");
      const layers = { channels: 1, hidden: 8, residualHidden: 4, key };
      using model = new VQVAE(device, createQuantizer(device, config, key), layers);
      using optimizer = new Adam(model.namedParameters());
      return await trainTiny({ device, path, model, optimizer, ...options });
    };
    await withFolder((whole) =>
      withFolder(async (path) => {
        await trainMethod(whole);
        await trainMethod(path, stopAt(8));
        await trainMethod(path, { resume: true });
        await assertSameEnd(path, whole, type);
      })
    );
  }
});

Deno.test("a stopped run can be stopped again, and a finished run is only measured again", () =>
  withFolder(async (whole) => {
    const finished = await trainTiny({ device, path: whole });
    const expected = await lastCheckpoint(whole);
    await withFolder(async (path) => {
      await trainTiny({ device, path, ...stopAt(4) });
      await trainTiny({ device, path, resume: true, ...stopAt(7) });
      const { steps } = await trainTiny({ device, path, resume: true });
      assert.equal(steps, STEPS);
      await assertSameEnd(path, whole);
    });
    const again = await trainTiny({ device, path: whole, resume: true });
    assert.deepEqual(again.test, finished.test);
    assert.equal(again.imagesPerSecond, null);
    assert.deepEqual(again.best, finished.best);
    assert.deepEqual(await lastCheckpoint(whole), expected);
  }));

Deno.test("the intervals of reports and checkpoints do not change a run's result", () =>
  withFolder((one) =>
    withFolder(async (other) => {
      await trainTiny({ device, path: one, logEverySteps: 1, checkpointEverySteps: 1 });
      await trainTiny({ device, path: other, logEverySteps: 100, checkpointEverySteps: 100 });
      await assertSameEnd(one, other);
    })
  ));

Deno.test("a run with a given number of steps stops there and is measured", () =>
  withFolder(async (path) => {
    const { steps, finished, test } = await trainTiny({ device, path, maxSteps: 8 });
    assert.deepEqual([steps, finished, test?.numbers.images], [8, true, 6]);
    assert.deepEqual((await records(path, "epoch")).map(({ step }) => step), [6, 8]);
  }));

Deno.test("a non-finite loss stops the run with its step, and the last good checkpoint stays", () =>
  withFolder(async (path) => {
    const before = device.liveBytes;
    const learningRate = (step: number) => step === 8 ? 1e30 : 1e-3;
    await assert.rejects(trainTiny({ device, path, learningRate }), (error) => {
      assert.ok(error instanceof DivergedError);
      assert.match(
        error.message,
        /every loss and parameter must be finite, got loss \S+ at step 10/,
      );
      assert.match(error.message, /last good checkpoint is .*last\.safetensors/);
      return true;
    });
    assert.equal(device.liveBytes, before);
    const { state } = await readCheckpoint(new RunFolder(path).checkpoint("last"));
    assert.deepEqual(state.get("step")?.values, Int32Array.of(8));
    const resumed = await trainTiny({ device, path, resume: true });
    assert.equal(resumed.finished, true);
  }));

Deno.test("a non-finite parameter is not saved, even if no loss shows it yet", () =>
  withFolder(async (path) => {
    const learningRate = (step: number) => step === 3 ? NaN : 1e-3;
    const run = trainTiny({ device, path, learningRate });
    await assert.rejects(run, /got model\.\S+ NaN at step 4/);
    const { state } = await readCheckpoint(new RunFolder(path).checkpoint("last"));
    assert.deepEqual(state.get("step")?.values, Int32Array.of(2));
  }));

Deno.test("a run that fails in its first step still has its initial checkpoint", () =>
  withFolder(async (path) => {
    using model = tinyModel(device);
    using optimizer = new Adam(model.namedParameters());
    model.quantizer.parameters()[0].write(new Float32Array(32).fill(1e25));
    await assert.rejects(trainTiny({ device, path, model, optimizer }), /at step 1;/);
    const { state } = await readCheckpoint(new RunFolder(path).checkpoint("last"));
    using loaded = tinyModel(device);
    loaded.loadStateDictionary(
      new Map(
        [...state].filter(([name]) => name.startsWith("model."))
          .map(([name, tensor]) => [name.slice("model.".length), tensor]),
      ),
    );
  }));

Deno.test("a checkpoint that is missing, truncated or of another configuration is not resumed", () =>
  withFolder(async (path) => {
    const resume = (identity = {}) => trainTiny({ device, path, resume: true, ...identity });
    await assert.rejects(resume(), /^Error: Cannot read .*last.safetensors: the file must exist/);
    assert.equal(await new RunFolder(path).state(), "empty");

    await trainTiny({ device, path, maxSteps: 2 });
    const other = { "quantizer.type": "vanilla", "quantizer.codebookSize": 8 };
    await assert.rejects(resume({ identity: other }), {
      name: "RangeError",
      message:
        /quantizer.type must be what the checkpoint was made with, "clustered", got "vanilla"/,
    });
    using model = tinyModel(device, 7, "closest");
    using optimizer = new Adam(model.namedParameters());
    await assert.rejects(resume({ model, optimizer }), /Cannot load the state: .*anchors/);

    const bytes = await lastCheckpoint(path);
    const last = new RunFolder(path).checkpoint("last");
    await Deno.writeFile(last, bytes.subarray(0, bytes.length - 1));
    await assert.rejects(resume(), { name: "RangeError", message: /truncated/ });
    const metrics = await Deno.readTextFile(`${path}/metrics.jsonl`);
    assert.ok(metrics.length > 0, "a refused resume must leave the run as it is");
  }));

Deno.test("a batch larger than the training set is rejected before anything is written", () =>
  withFolder(async (path) => {
    const before = device.liveBytes;
    await assert.rejects(trainTiny({ device, path, dataset: waves(3), batchSize: 4 }), {
      name: "RangeError",
      message: /the batch size must be at most the 3 training images of waves, got 4/,
    });
    assert.equal(await new RunFolder(path).state(), "empty");
    assert.equal(device.liveBytes, before);
  }));
