import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { uniform } from "../../core/functions/creation.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { gumbelNoise } from "../../quantizers/gumbel_softmax.ts";
import { type GumbelOptions, GumbelQuantizer } from "../../quantizers/gumbel.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { argmax, mean, rowsOf } from "./plain.ts";
import { dot, gumbelOf, judged, leaf, negativeEntropy, slopes, softmax, total } from "./slopes.ts";

const devices = await openTestDevices();
const key = { ...randomKey(1, "gumbel"), step: 3000 };
const [N, K, D] = [10, 6, 3];

const make = (device: Device, options: Partial<GumbelOptions> = {}) =>
  new GumbelQuantizer(device, { codebookSize: K, codebookDim: D, key, ...options });

for (const hard of [true, false]) {
  testOnEach(
    devices,
    `gumbel, ${hard ? "hard" : "soft"}: forward and gradients`,
    async (device) => {
      const quantizer = make(device, { hard, klWeight: 0.3, temperatureDecay: 1e-4 });
      const { codebook, toLogits } = quantizer;
      const parameters = [codebook, toLogits.weight, toLogits.bias!];
      const values = await Promise.all(parameters.map((parameter) => parameter.floats()));
      const z = draw([N, D], "features"), upstream = draw([N, D], "up");
      const noise = gumbelOf(await uniform(device, [N, K], key, 2 ** -24, 1 - 2 ** -24).floats());
      const features = leaf(device, z, [N, D]);
      const result = quantizer.quantize(features, { training: true, key });
      const judge = judged(result, device.tensor(upstream, [N, D]));
      const gradients = backward(judge, [features, ...parameters]);

      const temperature = Math.exp(-0.3);
      const at = (x: readonly (readonly number[])[]) => {
        const [features, e, w, b] = x;
        const logits = rowsOf(features, D).map((row) =>
          Array.from(b, (bias, k) => bias + dot(row, rowsOf(w, K).map((line) => line[k])))
        );
        const drawn = logits.map((row, n) => row.map((logit, k) => logit + noise[n * K + k]));
        const shares = drawn.map((row) => softmax(row.map((value) => value / temperature)));
        const mixed = shares.flatMap((row) =>
          Array.from({ length: D }, (_, d) => dot(row, rowsOf(e, D).map((code) => code[d])))
        );
        const divergence = mean(logits.map((row) => negativeEntropy(softmax(row)) + Math.log(K)));
        return { chosen: drawn.map(argmax), mixed, divergence };
      };
      const start = [z, ...values].map((list) => Array.from(list));
      const { chosen, mixed, divergence } = at(start);
      const codesOf = (e: readonly number[]) => chosen.flatMap((index) => rowsOf(e, D)[index]);
      assert.deepEqual([...await result.indices.integers()], chosen);
      const expected = hard ? codesOf(start[1]) : mixed;
      assertClose(await result.quantized.floats(), expected, EQUATIONS, "quantized");
      assertClose(await result.losses.divergence.floats(), [0.3 * divergence], EQUATIONS, "KL");
      for (const [place, gradient] of gradients.entries()) {
        const slope = slopes((x) => {
          // Hard, the codebook has the gradient of the draw, all else that of the mixture.
          if (hard && place === 1) return dot(codesOf(x), upstream);
          const { mixed, divergence } = at(start.with(place, [...x]));
          return dot(mixed, upstream) + 0.3 * divergence;
        }, start[place]);
        assertClose(await gradient.floats(), slope, CANCELLING, `gradient ${place}`);
      }
    },
  );
}

testOnEach(devices, "at a low temperature the mixture is the drawn code", async (device) => {
  const quantizer = make(device, { hard: false, initialTemperature: 1e-3, temperatureFloor: 1e-3 });
  const features = device.tensor(draw([50, D], "many"), [50, D]);
  const { quantized, indices } = quantizer.quantize(features, { training: true, key });
  assertClose(
    await quantized.floats(),
    await quantizer.lookup(indices).floats(),
    { absolute: 1e-3 },
    "codes",
  );
});

testOnEach(
  devices,
  "codes are drawn with the softmax probabilities of the logits",
  async (device) => {
    const count = 8000, logits = [0, 1, -1, 2, 0.5, -2];
    const quantizer = make(device);
    quantizer.toLogits.bias!.write(Float32Array.from(logits));
    const features = device.tensor(new Float32Array(count * D), [count, D]);
    const { usage } = quantizer.quantize(features, { training: true, key });
    const counts = await usage.integers();
    softmax(logits).forEach((share, k) => {
      const deviation = Math.sqrt(count * share * (1 - share));
      assert.ok(Math.abs(counts[k] - count * share) < 5 * deviation, `${k}: ${counts[k]}`);
    });
  },
);

testOnEach(
  devices,
  "in evaluation the likeliest code is chosen for any key",
  async (device) => {
    const quantizer = make(device);
    const features = device.tensor(draw([20, D], "some"), [20, D]);
    const logits = rowsOf(await quantizer.toLogits.forward(features).floats(), K);
    for (const step of [0, 1]) {
      const context = { training: false, key: { ...key, step } };
      const { indices, quantized } = quantizer.quantize(features, context);
      assert.deepEqual([...await indices.integers()], logits.map(argmax));
      assert.deepEqual(await quantized.floats(), await quantizer.lookup(indices).floats());
    }
  },
);

testOnEach(devices, "Gumbel noise is finite, with mean 0.577 and variance π²/6", async (device) => {
  const noise = Array.from(await gumbelNoise(device.empty([200, 500]), key).floats());
  assert.ok(noise.every(Number.isFinite));
  const center = mean(noise), variance = total(noise.map((g) => (g - center) ** 2)) / noise.length;
  assert.ok(Math.abs(center - 0.5772) < 0.02, `${center}`);
  assert.ok(Math.abs(variance - Math.PI ** 2 / 6) < 0.04, `${variance}`);
});
