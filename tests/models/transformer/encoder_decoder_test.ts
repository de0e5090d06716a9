/** Encoder-decoders: PyTorch's logits and gradients, the cache of both sequences, what sees what, and what is refused. */
import assert from "node:assert/strict";
import { backward, withoutGradients } from "../../../core/execute.ts";
import { square } from "../../../core/functions/elementwise.ts";
import { mean } from "../../../core/functions/reductions.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device } from "../../../core/tensor.ts";
import {
  EncoderDecoder,
  type EncoderDecoderOptions,
} from "../../../models/transformer/encoder_decoder.ts";
import { draw, testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";
import { compareWithPyTorch, readFixture } from "./fixtures.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "transformer");

/** The same products, over keys that were computed before or together. The requirement. */
const CACHED = 1e-5;

const fixture = await readFixture<EncoderDecoderOptions>("encoder-decoder");
const OPTIONS: EncoderDecoderOptions = { ...fixture.settings, dropout: 0, key };
const { codebookSize: SIZE, grid: [ROWS, COLUMNS] } = OPTIONS;
const LENGTH = ROWS * COLUMNS;

const integers = (device: Device, values: readonly number[], shape: readonly number[]) =>
  device.tensor(Int32Array.from(values), shape);

/** A model with weights that are large enough for a difference to show. */
function spread(device: Device): EncoderDecoder {
  const model = new EncoderDecoder(device, OPTIONS);
  for (const [name, tensor] of model.namedParameters()) tensor.write(draw(tensor.shape, name));
  return model;
}

testOnEach(devices, "logits and gradients agree with PyTorch", async (device) => {
  const model = new EncoderDecoder(device, { ...OPTIONS, dropout: 0.5 });
  await compareWithPyTorch(device, fixture, model, (input) => {
    const memory = model.encode(input("noisy"));
    const labels = input("labels"), codes = input("codes");
    return model.decoder.logits(model.decode({ labels, codes, memory }));
  });
});

testOnEach(devices, "cached and uncached logits are equal", async (device) => {
  const model = spread(device), { decoder } = model;
  const codes = Array.from({ length: 2 * LENGTH }, (_, at) => at * 5 % SIZE);
  const noisy = codes.map((code) => (code + 4) % SIZE);
  const labels = integers(device, [0, 2], [2]);
  const shown = [0, 1].flatMap((row) => codes.slice(row * LENGTH, (row + 1) * LENGTH - 1));
  const [memory, expected] = withoutGradients(() => {
    const memory = model.encode(integers(device, noisy, [2, LENGTH]));
    const all = { labels, codes: integers(device, shown, [2, LENGTH - 1]), memory };
    return [memory, decoder.logits(model.decode(all))];
  });
  const wanted = await expected.floats();
  using cache = decoder.cache();
  for (let at = 0; at < LENGTH; at++) {
    const part = [0, 1].map((row) => codes[row * LENGTH + at - 1]);
    const input = at === 0 ? { labels } : { codes: integers(device, part, [2, 1]) };
    const logits = withoutGradients(() =>
      decoder.logits(model.decode({ ...input, memory }, undefined, cache))
    );
    const own = [0, 1].flatMap((row) => [
      ...wanted.subarray((row * LENGTH + at) * SIZE, (row * LENGTH + at + 1) * SIZE),
    ]);
    assertClose(await logits.floats(), own, CACHED, `token ${at}`);
  }
  assert.equal(cache.length, LENGTH);
  assert.ok(cache.memories.every(({ length }) => length === LENGTH), "the memory is kept once");
});

testOnEach(
  [reference],
  "a code sees all noisy codes and the codes before it",
  async (device) => {
    const model = spread(device);
    const logitsOf = async (noisy: readonly number[], codes: readonly number[]) => {
      using _scope = device.scope();
      const memory = model.encode(integers(device, noisy, [1, LENGTH]));
      const input = { labels: integers(device, [0], [1]), codes: integers(device, codes, [1, 5]) };
      return await model.decoder.logits(model.decode({ ...input, memory })).floats();
    };
    const noisy = [0, 1, 2, 3, 4, 5], codes = [5, 4, 3, 2, 1];
    const before = await logitsOf(noisy, codes);
    const changed = (after: Float32Array) =>
      noisy.filter((row) =>
        after.subarray(row * SIZE, (row + 1) * SIZE)
          .some((value, at) => value !== before[row * SIZE + at])
      );
    for (let at = 0; at < LENGTH; at++) {
      assert.deepEqual(
        changed(await logitsOf(noisy.with(at, 8), codes)),
        noisy,
        `noisy code ${at}`,
      );
      if (at === LENGTH - 1) continue;
      assert.deepEqual(changed(await logitsOf(noisy, codes.with(at, 8))), noisy.slice(at + 1));
    }
  },
);

testOnEach([reference], "recomputed blocks give the same gradients", async (device) => {
  const gradientsOf = async (recompute: boolean) => {
    const model = new EncoderDecoder(device, { ...OPTIONS, dropout: 0.3, recompute });
    const context = { training: true, key: randomKey(2, "dropout") };
    const memory = model.encode(integers(device, [0, 1, 2, 3, 4, 5], [1, LENGTH]), context);
    const input = { labels: integers(device, [1], [1]), codes: integers(device, [3, 7], [1, 2]) };
    const loss = mean(square(model.decode({ ...input, memory }, context)));
    const weights = [...model.namedParameters()].filter(([name]) => !name.includes("head"));
    const gradients = backward(loss, weights.map(([, tensor]) => tensor));
    return await Promise.all(gradients.map((gradient) => gradient.floats()));
  };
  assert.deepEqual(await gradientsOf(true), await gradientsOf(false));
});

testOnEach([reference], "invalid settings and inputs are rejected", (device) => {
  const model = new EncoderDecoder(device, OPTIONS);
  const refused = (run: () => unknown, name: string, message: string) =>
    assert.throws(run, { name, message });
  refused(
    () => model.encode(integers(device, [0, 1], [1, 2])),
    "TypeError",
    "Cannot encode codes: they must be [B, 6], got [1, 2]",
  );
  refused(
    () => model.encode(integers(device, [0, 1, 9, 3, 4, 5], [1, 6])),
    "RangeError",
    "Cannot run a transformer: a code must be in [0, 9), got 9 in [1, 6]",
  );
  refused(
    () => model.decode({ labels: integers(device, [0], [1]) }),
    "TypeError",
    "Cannot run a transformer: it must be given a memory, got none",
  );
});
