import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { SimVQQuantizer } from "../../quantizers/simvq.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { mean, nearest, rowsOf } from "./plain.ts";
import { dot, judged, leaf, slopes, type Values } from "./slopes.ts";

const devices = await openTestDevices();
const key = randomKey(1, "simvq");
const [N, K, D] = [12, 7, 3];

/** C·W. */
const codesOf = (basis: Values, map: Values): number[][] =>
  rowsOf(basis, D).map((row) =>
    Array.from({ length: D }, (_, j) => dot(row, rowsOf(map, D).map((line) => line[j])))
  );

testOnEach(devices, "simvq: forward and gradients", async (device) => {
  const quantizer = new SimVQQuantizer(device, { codebookSize: K, codebookDim: D, key });
  const [basis, map] = [await quantizer.codebook.floats(), await quantizer.map.weight.floats()];
  const z = draw([N, D], "features"), upstream = draw([N, D], "up");
  const features = leaf(device, z, [N, D]);
  const result = quantizer.quantize(features, { training: true, key });
  const [byFeatures, byMap] = backward(
    judged(result, device.tensor(upstream, [N, D])),
    [features, quantizer.map.weight],
  );

  const codes = codesOf(basis, map);
  const indices = nearest(rowsOf(z, D), codes, "l2");
  const chosen = indices.flatMap((index) => codes[index]);
  assert.deepEqual([...await result.indices.integers()], indices);
  assertClose(await result.quantized.floats(), chosen, EQUATIONS, "codes");
  const error = (a: Values, b: Values) => mean(Array.from(a, (x, i) => (x - b[i]) ** 2));
  assertClose(await result.losses.commitment.floats(), [0.25 * error(z, chosen)], EQUATIONS, "β");
  assertClose(await result.losses.codebook.floats(), [error(z, chosen)], EQUATIONS, "codebook");
  const ofFeatures = slopes((x) => dot([...x], upstream) + 0.25 * error(x, chosen), z);
  assertClose(await byFeatures.floats(), ofFeatures, EQUATIONS, "gradient of z");
  const ofMap = slopes((w) => {
    const moved = codesOf(basis, w);
    return error(z, indices.flatMap((index) => moved[index]));
  }, map);
  assertClose(await byMap.floats(), ofMap, EQUATIONS, "gradient of W");
});

testOnEach(
  devices,
  "the gradient of one feature moves every code, but never the basis",
  async (device) => {
    const quantizer = new SimVQQuantizer(device, { codebookSize: K, codebookDim: D, key });
    assert.deepEqual([...quantizer.namedParameters().keys()], ["map.weight"]);
    assert.deepEqual([...quantizer.namedBuffers().keys()], ["codebook"]);
    const { losses } = quantizer.quantize(device.tensor([3, -1, 2], [1, D]), {
      training: true,
      key,
    });
    const [gradient] = backward(losses.codebook, [quantizer.map.weight]);
    const step = await gradient.floats();
    const moves = codesOf(await quantizer.codebook.floats(), step);
    assert.ok(moves.every((move) => Math.hypot(...move) > 0), `${moves}`);
  },
);

testOnEach(devices, "the basis is initialised normally with deviation 1/√D", async (device) => {
  const quantizer = new SimVQQuantizer(device, { codebookSize: 500, codebookDim: 16, key });
  const values = Array.from(await quantizer.codebook.floats());
  const deviation = Math.sqrt(mean(values.map((x) => x * x)));
  assert.ok(Math.abs(deviation * 4 - 1) < 0.03 && Math.abs(mean(values)) < 0.01, `${deviation}`);
});
