import assert from "node:assert/strict";
import { decode } from "fast-png";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { Adam } from "../../nn/optimizers.ts";
import { ReconstructionObjective } from "../../objectives/reconstruction.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { tinyModel, waves, withFolder } from "./tiny.ts";

async function records(path: string): Promise<unknown[]> {
  const text = await Deno.readTextFile(`${path}/metrics.jsonl`);
  return text.trimEnd().split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

Deno.test("beginning a run creates its folders", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(`${path}/runs/first`);
    await folder.begin(0);
    const names = Array.from(Deno.readDirSync(folder.path), ({ name }) => name).sort();
    assert.deepEqual(names, [
      "checkpoints",
      "events.out.tfevents.codebook",
      "metrics.jsonl",
      "samples",
      "test",
    ]);
    assert.equal(folder.checkpoint("best"), `${path}/runs/first/checkpoints/best.safetensors`);
  }));

Deno.test("records are appended as one line each", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    await folder.begin(0);
    await folder.log({ step: 1, loss: 0.5 });
    await folder.log({ step: 2, loss: 0.25 });
    assert.deepEqual(await records(path), [{ step: 1, loss: 0.5 }, { step: 2, loss: 0.25 }]);
  }));

Deno.test("resuming removes the record of an epoch whose evaluation is repeated", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    await folder.begin(0);
    const step = { kind: "step", step: 2 }, epoch = { kind: "epoch", step: 2, test: { mse: 1 } };
    for (const record of [step, epoch]) await folder.log(record);
    await folder.begin(2);
    assert.deepEqual(await records(path), [step, epoch]);
    await folder.begin(2, true);
    assert.deepEqual(await records(path), [step]);
    await folder.begin(2, true);
    assert.deepEqual(await records(path), [step], "there is no gap");
  }));

Deno.test("resuming truncates the records to the step, and removes a partial line", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    await folder.begin(0);
    for (const step of [1, 2, 2, 3]) await folder.log({ step });
    await Deno.writeTextFile(`${path}/metrics.jsonl`, '{"step":4,"lo', { append: true });
    await folder.begin(2);
    await folder.log({ step: 3, again: true });
    assert.deepEqual(await records(path), [
      { step: 1 },
      { step: 2 },
      { step: 2 },
      { step: 3, again: true },
    ]);
    await folder.begin(0);
    assert.deepEqual(await records(path), []);
  }));

Deno.test("beginning removes partially written files, and nothing else", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    await folder.begin(0);
    const kept = [`${path}/notes.txt`, folder.checkpoint("last"), `${path}/samples/epoch-001.png`];
    const partial = kept.map((file) => `${file}.123-0.partial`);
    for (const file of [...kept, ...partial]) await Deno.writeTextFile(file, "x");
    await folder.begin(0);
    for (const file of kept) assert.equal(await Deno.readTextFile(file), "x");
    for (const file of partial) await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  }));

Deno.test("a run is empty, started, finished, and started again when it is resumed", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(`${path}/run`);
    assert.equal(await folder.state(), "empty");
    await Deno.mkdir(folder.path);
    assert.equal(await folder.state(), "empty");
    await folder.writeConfig({ seed: 7, data: { name: "waves" } });
    assert.equal(await folder.state(), "started");
    assert.deepEqual(await folder.readConfig(), { seed: 7, data: { name: "waves" } });
    await folder.begin(0);
    assert.equal(await folder.state(), "started");
    await folder.writeSummary({ mse: 0.5 });
    assert.equal(await folder.state(), "finished");
    assert.equal(await Deno.readTextFile(`${path}/run/summary.json`), '{\n  "mse": 0.5\n}\n');
    await folder.begin(9);
    assert.equal(await folder.state(), "started");
  }));

Deno.test("a run is untouched until it has a checkpoint or a record", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    assert.equal(await folder.isUntouched(), true);
    await folder.writeConfig({ seed: 7 });
    assert.equal(await folder.isUntouched(), true);
    await folder.begin(0);
    assert.equal(await folder.isUntouched(), true, "its folders and no records yet");
    await folder.log({ step: 1 });
    assert.equal(await folder.isUntouched(), false);
    await folder.begin(0);
    await Deno.writeTextFile(folder.checkpoint("last"), "x");
    assert.equal(await folder.isUntouched(), false);
  }));

Deno.test("an unwritable folder and an unreadable configuration give clear errors", () =>
  withFolder(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "{");
    const folder = new RunFolder(`${path}/file/run`);
    const unwritable = new RegExp(
      `^Error: Cannot make the folder ${path}/file/run: the location must be writable, got `,
    );
    await assert.rejects(folder.begin(0), unwritable);
    await assert.rejects(folder.writeConfig({}), unwritable);
    const absent = new RunFolder(`${path}/absent`);
    await assert.rejects(absent.log({ step: 1 }), /Cannot write .*metrics.jsonl: .*, got ENOENT/);
    await assert.rejects(
      absent.readConfig(),
      /Cannot read .*config.json: the file must exist and be readable, got none/,
    );
    await Deno.rename(`${path}/file`, `${path}/config.json`);
    await assert.rejects(new RunFolder(path).readConfig(), {
      name: "RangeError",
      message: /Cannot read .*config.json: it must be JSON, got /,
    });
  }));

Deno.test("samples are a picture of test images spread evenly over the set", () =>
  withFolder(async (path) => {
    using device = await openDevice("reference");
    const folder = new RunFolder(path);
    await folder.begin(0);
    assert.equal(await folder.lastSamples(40, [8, 8, 1]), null);
    const before = device.liveBytes;
    for (const [epoch, testImages, columns, rows] of [[1, 40, 8, 4], [12, 5, 5, 2]]) {
      const dataset = waves(4, testImages);
      const model = tinyModel(device);
      using objective = new ReconstructionObjective(device, {
        model,
        optimizer: new Adam(model.namedParameters()),
        dataset,
        stepsPerEpoch: 1,
        learningRate: () => 1e-3,
      });
      const context = { training: false, key: randomKey(7, "samples") };
      await folder.saveSamples({ epoch, step: epoch }, await objective.samples(device, context));
      const name = `epoch-${String(epoch).padStart(3, "0")}.png`;
      const { width, height, data } = decode(await Deno.readFile(`${path}/samples/${name}`));
      assert.deepEqual([width, height], [columns * 100 + 4, rows * 100 + 4]);
      for (let column = 0; column < columns; column++) {
        const chosen = Math.floor(column * testImages / Math.min(16, testImages));
        const [first] = await dataset.images("test", Int32Array.of(chosen));
        const shown = Math.round((first + 1) / 2 * 255);
        assert.equal(data[4 * width + 4 + column * 100], shown);
        const { originals } = await folder.lastSamples(testImages, [8, 8, 1]) ?? assert.fail();
        assert.equal(Math.round((originals[64 * column] + 1) / 2 * 255), shown);
      }
    }
    assert.equal(device.liveBytes, before);
  }));
