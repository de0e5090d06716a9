/** The transformer over scales: PyTorch's logits and gradients, what sees what, the cache, and what is refused. */
import assert from "node:assert/strict";
import { slice } from "../../../core/functions/movement.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device } from "../../../core/tensor.ts";
import {
  ScaleTransformer,
  type ScaleTransformerOptions,
} from "../../../models/transformer/scale_transformer.ts";
import { draw, testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";
import { compareWithPyTorch, readFixture } from "./fixtures.ts";

const devices = await openTestDevices();
const key = randomKey(1, "transformer");
/** The requirement. */
const CACHED = 1e-5;

const OPTIONS: ScaleTransformerOptions = {
  ...{ codebookSize: 9, codebookDim: 3, scales: [1, 2, 3], classes: 2 },
  ...{ width: 16, layers: 2, heads: 2, dropout: 0 },
  ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
};

/** A model with weights large enough that everything that is seen matters. */
function drawn(device: Device, options: Partial<ScaleTransformerOptions> = {}): ScaleTransformer {
  const model = new ScaleTransformer(device, { ...OPTIONS, ...options });
  for (const [name, tensor] of model.namedParameters()) {
    tensor.write(draw(tensor.shape, name, -0.5, 0.5));
  }
  return model;
}

const fixture = await readFixture<ScaleTransformerOptions>("../next-scale/transformer");

testOnEach(devices, "logits and gradients agree with PyTorch", async (device) => {
  const model = new ScaleTransformer(device, { ...fixture.settings, dropout: 0.5, key });
  await compareWithPyTorch(
    device,
    fixture,
    model,
    (input) => model.logits(model.forward({ labels: input("labels"), sums: input("sums") })),
  );
});

testOnEach(
  devices,
  "a position sees only earlier scales and the class",
  async (device) => {
    const model = drawn(device);
    const logitsOf = async (label: number, sums: Float32Array<ArrayBuffer>) => {
      const labels = device.tensor(Int32Array.of(label), [1]);
      const features = model.forward({ labels, sums: device.tensor(sums, [1, 13, 3]) });
      return await model.logits(features).floats();
    };
    const sums = draw([13, 3], "sums"), before = await logitsOf(0, sums);
    const changed = (after: Float32Array) =>
      Array.from(
        { length: 14 },
        (_, place) =>
          after.subarray(place * 9, place * 9 + 9).some((value, at) =>
            value !== before[place * 9 + at]
          ),
      );
    assert.deepEqual(changed(await logitsOf(1, sums)), new Array(14).fill(true));
    // Sums at places of the second scale, and of the third.
    for (const [place, first] of [[0, 1], [3, 1], [4, 5], [12, 5]]) {
      const other = sums.map((value, at) => Math.floor(at / 3) === place ? value + 1 : value);
      const expected = Array.from({ length: 14 }, (_, own) => own >= first);
      assert.deepEqual(changed(await logitsOf(0, other)), expected, `the sum at ${place}`);
    }
  },
);

testOnEach(
  devices,
  "generating scale by scale with the cache gives the same logits as one pass",
  async (device) => {
    for (const more of [{}, { norm: "rms", feedForward: "swiglu", queryKeyNorm: true } as const]) {
      using model = drawn(device, more);
      const labels = device.tensor(Int32Array.of(0, 2), [2]);
      const sums = device.tensor(draw([2, 13, 3], "sums"), [2, 13, 3]);
      const whole = await model.logits(model.forward({ labels, sums })).floats();
      // Each scale alone, and the last two at once.
      for (const parts of [[4, 9], [13]]) {
        using cache = model.cache();
        const logits = [await model.logits(model.forward({ labels }, undefined, cache)).floats()];
        let at = 0;
        for (const length of parts) {
          const part = slice(sums, [0, at, 0], [2, length, 3]);
          logits.push(await model.logits(model.forward({ sums: part }, undefined, cache)).floats());
          at += length;
        }
        const joined = [0, 1].flatMap((image) =>
          logits.flatMap((values) => {
            const size = values.length / 2;
            return [...values.subarray(image * size, (image + 1) * size)];
          })
        );
        assertClose(joined, whole, CACHED, `parts ${parts}`);
      }
    }
  },
);

testOnEach(devices, "the first scale may have several positions and be the only one", (device) => {
  for (const scales of [[2], [2, 3]]) {
    const model = drawn(device, { scales });
    const labels = device.tensor(Int32Array.of(0), [1]);
    const sums = scales.length === 1
      ? undefined
      : device.tensor(draw([1, 9, 3], "sums"), [1, 9, 3]);
    assert.deepEqual(model.forward({ labels, sums }).shape, [1, scales.length === 1 ? 4 : 13, 16]);
  }
});

testOnEach(devices, "invalid settings and inputs are rejected", (device) => {
  const model = drawn(device);
  const labels = (label: number) => device.tensor(Int32Array.of(label), [1]);
  const sums = (count: number) => device.tensor(draw([1, count, 3], "sums"), [1, count, 3]);
  const refused = (run: () => unknown, name: string, message: string) =>
    assert.throws(run, { name, message });
  refused(
    () => model.forward({ labels: labels(3) }),
    "RangeError",
    "Cannot run a transformer: a class must be in [0, 3), got 3 in [1]",
  );
  for (const count of [1, 5, 14]) {
    refused(
      () => model.forward({ labels: labels(0), sums: sums(count) }),
      "RangeError",
      `Cannot run a transformer: tokens must be those of whole scales, which end at 1, 5, 14, got ${
        count + 1
      } after 0`,
    );
  }
  refused(
    () => model.forward({}),
    "TypeError",
    "Cannot run a transformer: there must be labels or sums, got neither",
  );
});
