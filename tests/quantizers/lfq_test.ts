import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { LFQQuantizer } from "../../quantizers/lfq.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { mean, rowsOf } from "./plain.ts";
import { dot, judged, leaf, negativeEntropy, slopes, softmax } from "./slopes.ts";

const devices = await openTestDevices();
const context = { training: true, key: randomKey(1, "lfq") };

/** All corners of a cube, by the bits of their numbers. */
const cornersOf = (bits: number): number[][] =>
  Array.from(
    { length: 2 ** bits },
    (_, k) => Array.from({ length: bits }, (_, i) => (k >> i) & 1 ? 1 : -1),
  );

/** Both entropy terms of the paper, over all corners, in nats: mean H(q), and ln K − H(mean q). */
function entropies(z: readonly number[], bits: number, temperature: number): [number, number] {
  const corners = cornersOf(bits);
  const shares = rowsOf(z, bits).map((row) =>
    softmax(
      corners.map((corner) =>
        -dot(row.map((x, i) => x - corner[i]), row.map((x, i) => x - corner[i])) / temperature
      ),
    )
  );
  const average = corners.map((_, k) => mean(shares.map((row) => row[k])));
  return [
    mean(shares.map((row) => -negativeEntropy(row))),
    Math.log(corners.length) +
    negativeEntropy(average),
  ];
}

for (const bits of [1, 2, 5]) {
  for (const entropyTemperature of [1, 0.3]) {
    testOnEach(
      devices,
      `lfq, ${bits} bits, τ = ${entropyTemperature}: forward and gradient`,
      async (device) => {
        const shape = [3, 4, bits];
        const z = draw(shape, "features"), upstream = draw(shape, "up");
        const quantizer = new LFQQuantizer({
          bits,
          entropyTemperature,
          entropyWeight: 0.3,
          diversityWeight: 0.7,
          commitmentWeight: 0.4,
        });
        const features = leaf(device, z, shape);
        const result = quantizer.quantize(features, context);
        const [gradient] = backward(judged(result, device.tensor(upstream, shape)), [features]);

        const signs = Array.from(z, (x) => x > 0 ? 1 : -1);
        const commitment = (x: readonly number[]) =>
          0.4 * mean(x.map((v, i) => (v - signs[i]) ** 2));
        const [samples, missing] = entropies(Array.from(z), bits, entropyTemperature);
        assert.deepEqual([...await result.quantized.floats()], signs);
        const numbers = rowsOf(signs, bits).map((row) =>
          row.reduce((index, sign, i) => index + (sign > 0 ? 2 ** i : 0), 0)
        );
        assert.deepEqual([...await result.indices.integers()], numbers);
        const { losses } = result;
        assertClose(
          await losses.commitment.floats(),
          [commitment(Array.from(z))],
          EQUATIONS,
          "commitment",
        );
        assertClose(await losses.entropy.floats(), [0.3 * samples], EQUATIONS, "entropy");
        assertClose(
          await losses.diversity.floats(),
          [0.21 * missing],
          { absolute: 1e-6 },
          "diversity",
        );
        const expected = slopes((x) => {
          const [one, all] = entropies(x, bits, entropyTemperature);
          return dot([...x], upstream) + commitment(x) + 0.3 * one + 0.21 * all;
        }, z);
        assertClose(await gradient.floats(), expected, EQUATIONS, "gradient");
      },
    );
  }
}

testOnEach(
  devices,
  "the code table lists the corners of the cube, lowest bit first",
  async (device) => {
    const quantizer = new LFQQuantizer({ bits: 4 });
    const all = device.tensor(Int32Array.from({ length: 16 }, (_, index) => index), [16]);
    const codes = quantizer.lookup(all);
    assert.deepEqual([...await codes.floats()], cornersOf(4).flat());
    const { indices } = quantizer.quantize(codes, context);
    assert.deepEqual(await indices.integers(), await all.integers());
  },
);

testOnEach(devices, "the entropies of known batches are correct", async (device) => {
  const quantizer = new LFQQuantizer({ bits: 3, entropyWeight: 1, diversityWeight: 1 });
  const terms = async (values: number[][]) => {
    const features = device.tensor(values.flat(), [values.length, 3]);
    const { entropy, diversity } = quantizer.quantize(features, context).losses;
    return [await entropy.item(), await diversity.item()];
  };
  const full = Math.log(8);
  const far = cornersOf(3).map((corner) => corner.map((x) => 20 * x));
  for (
    const [values, expected] of [
      [far, [0, 0]], // every corner once, surely
      [[far[5]], [0, full]], // one corner only
      [[[0, 0, 0]], [full, 0]], // no idea which
      [far.slice(0, 4), [0, Math.LN2]], // half of the corners
    ] as const
  ) {
    assertClose(await terms(values as number[][]), expected, { absolute: 1e-5 }, `${values}`);
  }
});

testOnEach(devices, "2^16 codes are counted, and their entropy needs no N × K matrix", (device) => {
  const quantizer = new LFQQuantizer({ bits: 16 });
  const features = device.tensor(draw([300, 16], "many"), [300, 16]);
  const before = device.liveBytes;
  quantizer.quantize(features, context);
  const grown = device.liveBytes - before;
  assert.ok(grown < 300 * 65_536 * 4 / 8, `${grown} bytes`);
});

Deno.test("invalid settings are rejected", () => {
  assert.throws(() => new LFQQuantizer({ bits: 21 }), {
    name: "RangeError",
    message: /bits must be an integer in \[1, 20\], got 21$/,
  });
});
