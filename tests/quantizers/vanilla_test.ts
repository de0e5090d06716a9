/** The plain quantiser against its equations. */
import assert from "node:assert/strict";
import { assign, backward, parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { countsOf, quantize, rowsOf } from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(1, "codebook");
const [K, D] = [7, 5];
const SHAPE = [3, 4, 2, D];

for (const distance of ["l2", "cos"] as const) {
  for (const commitmentWeight of [0.25, 2]) {
    testOnEach(
      devices,
      `${distance}, β = ${commitmentWeight}: forward and gradients`,
      async (device) => {
        const z = draw(SHAPE, "features"),
          e = draw([K, D], "codebook"),
          upstream = draw(SHAPE, "up");
        const quantizer = new VanillaQuantizer(device, {
          codebookSize: K,
          codebookDim: D,
          distance,
          commitmentWeight,
          key,
        });
        assign(quantizer.codebook, device.tensor(e, [K, D]));
        const features = parameter(device.tensor(z, SHAPE));
        const result = quantizer.quantize(features, { training: true, key });
        const losses = Object.values(result.losses).reduce(add);
        const judged = add(losses, sum(mul(result.quantized, device.tensor(upstream, SHAPE))));
        const [byFeatures, byCodebook] = backward(judged, [features, quantizer.codebook]);

        const plain = quantize(
          rowsOf(z, D),
          rowsOf(e, D),
          rowsOf(upstream, D),
          distance,
          commitmentWeight,
        );
        assert.deepEqual(result.indices.shape, SHAPE.slice(0, -1));
        assert.deepEqual([...await result.indices.integers()], plain.indices);
        assert.deepEqual([...await result.quantized.floats()], plain.quantized);
        assert.deepEqual([...await result.usage.integers()], countsOf(plain.indices, K));
        assert.deepEqual(Object.keys(result.losses).sort(), ["codebook", "commitment"]);
        const { commitment, codebook } = result.losses;
        assertClose(await commitment.floats(), [plain.commitment], EQUATIONS, "commitment");
        assertClose(await codebook.floats(), [plain.codebookLoss], EQUATIONS, "codebook");
        assertClose(await byFeatures.floats(), plain.byFeatures, EQUATIONS, "gradient of z");
        assertClose(await byCodebook.floats(), plain.byCodebook, EQUATIONS, "gradient of e");
      },
    );
  }
}

testOnEach(
  devices,
  "the codebook starts uniform in (−1/K, 1/K), and is the only state",
  async (device) => {
    const quantizer = new VanillaQuantizer(device, { codebookSize: 50, codebookDim: 40, key });
    const state = await quantizer.stateDictionary();
    assert.deepEqual([...state.keys()], ["codebook"]);
    assert.deepEqual([...quantizer.namedParameters().keys()], ["codebook"]);
    const values = state.get("codebook")?.values ?? [];
    const greatest = Math.max(...Array.from(values, Math.abs));
    assert.ok(greatest <= 1 / 50 && greatest > 0.99 / 50, `it reaches ${greatest}`);
  },
);

testOnEach(
  devices,
  "the defaults are 512 codes of 64 dimensions, l2, and β = 0.25",
  async (device) => {
    const quantizer = new VanillaQuantizer(device, { key });
    assert.deepEqual(quantizer.codebook.shape, [512, 64]);
    assert.deepEqual([quantizer.codebookSize, quantizer.codebookDim], [512, 64]);
    const features = device.tensor(draw([3, 64], "features"), [3, 64]);
    const { losses } = quantizer.quantize(features, { training: false, key });
    const ratio = await losses.commitment.item() / await losses.codebook.item();
    assert.ok(Math.abs(ratio - 0.25) < 1e-6);
  },
);

testOnEach(devices, "invalid sizes and shapes are rejected", (device) => {
  const make = (codebookSize: number, codebookDim: number) => () =>
    new VanillaQuantizer(device, { codebookSize, codebookDim, key });
  assert.throws(make(0, 4), { name: "RangeError", message: /codebookSize must be .* got 0$/ });
  assert.throws(make(4, 0), { name: "RangeError", message: /codebookDim must be .* got 0$/ });
  for (const size of [-1, 1.5, NaN]) assert.throws(make(size, 4), RangeError);
  const setting = { commitmentWeight: -1, key };
  assert.throws(() => new VanillaQuantizer(device, setting), /commitmentWeight must be .* got -1$/);
  assert.throws(() => make(4, 64)().quantize(zeros(device, [8, 32]), { training: false, key }), {
    name: "TypeError",
    message: "Cannot quantize: the last axis must be 64, got shape [8, 32]",
  });
});
