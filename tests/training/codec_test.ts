/** Codes on their way to a file and back give what `reconstruct` gives, to the bit, on every device. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { batchesBySize, type ImageBatch, listImages, readBatch } from "../../data/image_batches.ts";
import { checkCodes, decodeBatch, encodeBatch, reconstructBatch } from "../../training/codec.ts";
import { readCodes, writeCodes } from "../../training/codes_file.ts";
import { openRun } from "../../training/open_run.ts";
import { openTestDevices } from "../helpers.ts";
import { writeFiles } from "../data/pictures.ts";
import { makeRun, noisePng } from "./made_run.ts";
import { withFolder } from "./tiny.ts";

const devices = await openTestDevices();
const QUANTIZERS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  clustered: { type: "clustered", codebookSize: 16, codebookDim: 4 },
  residual: {
    type: "residual",
    depth: 3,
    shared: false,
    inner: { type: "vanilla", codebookSize: 8, codebookDim: 4 },
  },
  fsq: { type: "fsq", levels: [5, 4, 3] },
  "multi-scale": {
    type: "multi-scale",
    scales: [1, 2],
    inner: { type: "vanilla", codebookSize: 16, codebookDim: 4 },
  },
};
const SIZES = [[8, 8], [12, 20], [8, 8], [16, 8], [8, 8]] as const;

async function batches(folder: string, channels: 1 | 3): Promise<ImageBatch[]> {
  const { images } = await listImages(folder, { divisor: 4, crop: false });
  return await Promise.all(
    batchesBySize(images, 2).map(async (part) => (await readBatch(part, channels, {}))!),
  );
}

for (const device of devices) {
  for (const [name, quantizer] of Object.entries(QUANTIZERS)) {
    Deno.test(`decode(encode(x)) equals reconstruct(x) through a file, ${name} on ${device.name}`, () =>
      withFolder(async (path) => {
        const channels = name === "fsq" ? 3 : 1;
        await makeRun(join(path, "run"), quantizer, channels);
        const isOfGrid = name === "multi-scale";
        await writeFiles(
          join(path, "images"),
          Object.fromEntries(
            SIZES.map(([h, w], at) => {
              const [height, width] = isOfGrid ? [8, 8] : [h, w];
              return [`${at}.png`, noisePng(height, width, channels, at)];
            }),
          ),
        );
        const before = device.liveBytes;
        {
          using run = await openRun(join(path, "run"), device);
          const { model, identity } = run;
          const origin = {
            run: identity,
            codebookSize: model.codebookSize,
            downsampling: model.downsampling,
          };
          const all = await batches(join(path, "images"), channels);
          const counts = isOfGrid ? [2, 2, 1] : [2, 1, 1, 1];
          assert.deepEqual(all.map(({ shape: [count] }) => count), counts);
          const codes = (await Promise.all(all.map((batch) => encodeBatch(model, device, batch))))
            .flat();
          const names = all.flatMap(({ images }) => images.map(({ name }) => name));
          const file = join(path, "codes.safetensors");
          await writeCodes(file, { names, codes }, origin);
          const saved = await readCodes(file);
          checkCodes(file, saved, run, false);
          assert.deepEqual(saved, { names, codes, origin });
          const order = isOfGrid ? [0, 1, 2, 3, 4] : [0, 2, 4, 1, 3];
          assert.deepEqual(saved.names, order.map((at) => `${at}.png`));
          if (isOfGrid) assert.deepEqual(saved.codes[0].shape, [5]);
          const kinds = new Set(saved.codes.flatMap(({ values }) => [...values]));
          assert.ok(kinds.size > 2, `the codes must differ, got ${[...kinds]}`);
          let at = 0;
          for (const batch of all) {
            const part = saved.codes.slice(at, at += batch.images.length);
            const decoded = await decodeBatch(model, device, part);
            const rebuilt = await reconstructBatch(model, device, batch);
            assert.deepEqual(decoded, rebuilt.values);
            assert.deepEqual(rebuilt.codes, part);
            assert.equal(decoded.length, batch.values.length);
            using _scope = device.scope();
            const whole = model.reconstruct(device.tensor(batch.values, batch.shape));
            assert.deepEqual(await whole.floats(), decoded);
            const size = batch.values.length / batch.images.length;
            const mse = batch.values.slice(0, size).reduce(
              (sum, value, at) => sum + (value - decoded[at]) ** 2 / size,
              0,
            );
            assert.ok(Math.abs(rebuilt.errors[0] - mse) <= 1e-5 * mse);
          }
        }
        assert.equal(device.liveBytes, before, "bytes alive after the run is closed");
      }));
  }
}

Deno.test("codes that the run cannot decode are rejected with the image's name", () =>
  withFolder(async (path) => {
    const [device] = devices;
    await makeRun(path, QUANTIZERS.residual, 1);
    using run = await openRun(path, device);
    const origin = { run: run.identity, codebookSize: 24, downsampling: 4 };
    const good = Int32Array.of(0, 8, 16);
    const check = (
      values: Int32Array<ArrayBuffer>,
      shape = [1, 1, 3],
      force = false,
      of = origin,
    ) => checkCodes("it", { names: ["a"], codes: [{ shape, values }], origin: of }, run, force);
    check(good);
    const other = { ...origin, run: "0".repeat(16) };
    check(good, [1, 1, 3], true, other);
    const cases: [() => void, RegExp][] = [
      [
        () => check(good, [1, 1, 3], false, other),
        /these weights, [0-9a-f]{16}, got those of 0{16}; --ch/,
      ],
      [() => check(good, [1, 3]), /the codes of a must be \[h, w, 3\], got shape \[1, 3\]$/],
      [() => check(good, [0, 1, 3]), /must be \[h, w, 3\], got shape \[0, 1, 3\]$/],
      [() => check(Int32Array.of(8, 8, 16)), /must be in \[0, 8\), got 8 at place 0$/],
      [() => check(Int32Array.of(0, 8, 24)), /must be in \[16, 24\), got 24 at place 2$/],
      [() => check(Int32Array.of(0, -1, 16)), /must be in \[8, 16\), got -1 at place 1$/],
      [() => check(good, [1e5, 1e5, 3]), /at most 100000000 pixels, got 400000×400000$/],
    ];
    for (const [call, message] of cases) {
      assert.throws(call, { name: "RangeError", message });
      assert.throws(call, /^RangeError: Cannot decode it: /);
    }
    using _scope = device.scope();
    assert.throws(() => run.model.decode(device.tensor(new Int32Array(4), [1, 2, 2])), {
      name: "TypeError",
      message: "Cannot decode: indices must be [B, h, w, 3], got shape [1, 2, 2]",
    });
  }));

Deno.test("codes of whole grids are checked and decoded as whole grids", () =>
  withFolder(async (path) => {
    const [device] = devices;
    await makeRun(path, QUANTIZERS["multi-scale"], 1);
    using run = await openRun(path, device);
    const check = (shape: number[], values = new Int32Array(5)) =>
      checkCodes("it", { names: ["a"], codes: [{ shape, values }] }, run, false);
    check([5]);
    const cases: [() => void, RegExp][] = [
      [() => check([2, 2]), /the codes of a must be \[5\], got shape \[2, 2\]$/],
      [() => check([4]), /the codes of a must be \[5\], got shape \[4\]$/],
      [() => check([5], Int32Array.of(0, 16, 0, 0, 0)), /must be in \[0, 16\), got 16 at place 1$/],
    ];
    for (const [call, message] of cases) assert.throws(call, { name: "RangeError", message });
    using _scope = device.scope();
    assert.throws(() => run.model.decode(device.tensor(new Int32Array(4), [1, 2, 2])), {
      name: "TypeError",
      message: "Cannot decode: indices must be [B, 5], got shape [1, 2, 2]",
    });
    assert.throws(() => run.model.encode(device.tensor(new Float32Array(144), [1, 12, 12, 1])), {
      name: "TypeError",
      message: /^Cannot quantize: with the scales 1, 2 features must be \[\.\.\., 2, 2, 4\]/,
    });
  }));
