import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { uniform } from "../../core/functions/creation.ts";
import { randomKey } from "../../core/random.ts";
import { SQQuantizer, type VarianceType } from "../../quantizers/sq.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { argmax, mean, nearest, rowsOf } from "./plain.ts";
import { dot, gumbelOf, judged, leaf, negativeEntropy, slopes, softmax, total } from "./slopes.ts";

const devices = await openTestDevices();
const key = { ...randomKey(1, "sq"), step: 20_000 };
const [B, H, W, K, D] = [2, 2, 3, 5, 3];
const SHAPE = [B, H, W, D];
const COUNT = B * H * W;

/** σ² of each feature and channel, `[COUNT][D]`. */
function variances(
  type: VarianceType,
  rows: readonly (readonly number[])[],
  s: number,
  [weight, bias]: readonly (readonly number[])[],
): number[][] {
  const v = (row: readonly number[], channel: number) =>
    bias[channel] + dot(row, rowsOf(weight, bias.length).map((line) => line[channel]));
  return rows.map((row, n) => {
    const image = rows.filter((_, other) =>
      Math.floor(other / (H * W)) === Math.floor(n / (H * W))
    );
    const average = row.map((_, d) => mean(image.map((other) => other[d])));
    return row.map((_, d) => {
      const log = {
        I: () => 0,
        II: () => v(average, 0),
        III: () => v(row, 0),
        IV: () => v(row, d),
      };
      return Math.exp(s) + Math.exp(log[type]());
    });
  });
}

for (const variance of ["I", "II", "III", "IV"] as const) {
  testOnEach(devices, `sq, type ${variance}: forward and gradients`, async (device) => {
    const quantizer = new SQQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      variance,
      initialVariance: 1.5,
      key,
    });
    const { codebook, logVariance, toLogVariance } = quantizer;
    const head = toLogVariance === undefined ? [] : [toLogVariance.weight, toLogVariance.bias!];
    const parameters = [codebook, logVariance, ...head];
    const values = await Promise.all(parameters.map((parameter) => parameter.floats()));
    const z = draw(SHAPE, "features"), upstream = draw(SHAPE, "up");
    const units = await uniform(device, [COUNT, K], key, 2 ** -24, 1 - 2 ** -24).floats();
    const noise = rowsOf(gumbelOf(units), K);
    const features = leaf(device, z, SHAPE);
    const result = quantizer.quantize(features, { training: true, key });
    const judge = judged(result, device.tensor(upstream, SHAPE));
    const gradients = backward(judge, [features, ...parameters]);

    const temperature = Math.exp(-0.2);
    const at = ([features, e, s, ...head]: readonly (readonly number[])[]) => {
      const rows = rowsOf(features, D), codes = rowsOf(e, D);
      const spread = variances(variance, rows, s[0], head);
      const distance = (a: readonly number[], b: readonly number[], n: number) =>
        total(a.map((x, d) => (x - b[d]) ** 2 / (2 * spread[n][d])));
      const logits = rows.map((row, n) => codes.map((code) => -distance(row, code, n)));
      const mixed = logits.map((row, n) => {
        const shares = softmax(row.map((logit, k) => (logit + noise[n][k]) / temperature));
        return Array.from({ length: D }, (_, d) => dot(shares, codes.map((code) => code[d])));
      });
      return {
        chosen: logits.map(argmax),
        quantized: mixed.flat(),
        divergence: total(logits.map((row) => negativeEntropy(softmax(row)) + Math.log(K))) / B,
        distance: total(rows.map((row, n) => distance(row, mixed[n], n))) / B,
      };
    };
    const start = [z, ...values].map((list) => Array.from(list));
    const plain = at(start);
    assert.deepEqual([...await result.indices.integers()], plain.chosen);
    assertClose(await result.quantized.floats(), plain.quantized, EQUATIONS, "quantized");
    const { divergence, distance } = result.losses;
    assertClose(await divergence.floats(), [plain.divergence], CANCELLING, "divergence");
    assertClose(await distance.floats(), [plain.distance], EQUATIONS, "distance");
    for (const [place, gradient] of gradients.entries()) {
      const slope = slopes((x) => {
        const { quantized, divergence, distance } = at(start.with(place, [...x]));
        return dot(quantized, upstream) + divergence + distance;
      }, start[place]);
      assertClose(await gradient.floats(), slope, CANCELLING, `gradient ${place}`);
    }

    const seen = quantizer.quantize(features, { training: false, key });
    assert.deepEqual([...await seen.indices.integers()], plain.chosen);
    assert.deepEqual(await seen.quantized.floats(), await quantizer.lookup(seen.indices).floats());
    if (variance !== "IV") {
      assert.deepEqual(plain.chosen, nearest(rowsOf(z, D), rowsOf(values[0], D), "l2"));
    }
  });
}

testOnEach(
  devices,
  "type I starts at σ² = 1 + eˢ, and with a small σ² the draw is the nearest code",
  async (device) => {
    const sizes = { codebookSize: K, codebookDim: D, key };
    const { logVariance } = new SQQuantizer(device, sizes);
    assertClose(await logVariance.floats(), [Math.log(10)], EQUATIONS, "s");
    const quantizer = new SQQuantizer(device, { ...sizes, variance: "III", initialVariance: 1e-5 });
    quantizer.toLogVariance!.bias!.write(Float32Array.of(-12));
    const features = device.tensor(draw([30, D], "some"), [30, D]);
    const { quantized, indices } = quantizer.quantize(features, { training: true, key });
    const codes = await quantizer.lookup(indices).floats();
    assertClose(await quantized.floats(), codes, { absolute: 1e-3 }, "codes");
  },
);

testOnEach(
  devices,
  "the reconstruction loss is (D_x/2)·ln(squared error per image)",
  async (device) => {
    const quantizer = new SQQuantizer(device, { codebookSize: K, codebookDim: D, key });
    const mse = leaf(device, Float32Array.of(0.03), []);
    const loss = quantizer.reconstructionLoss(mse, { variance: 0.1, imageSize: 784 });
    assertClose(await loss.floats(), [392 * Math.log(0.03 * 784)], EQUATIONS, "loss");
    const [gradient] = backward(loss, [mse]);
    assertClose(await gradient.floats(), [392 / 0.03], EQUATIONS, "gradient");
  },
);
