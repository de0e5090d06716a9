/** The gradient's estimators: what they pass on is compared with the matrix written out in float64. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { passGradient, rotate } from "../../quantizers/estimators.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS, FLOAT64 } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";

const devices = await openTestDevices();

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((s, x, d) => s + x * b[d], 0);
const scale = (a: readonly number[], by: number) => a.map((x) => x * by);
const unit = (a: readonly number[]) => scale(a, 1 / Math.hypot(...a));

/** λR of arXiv 2410.06424 for one feature and its code, as a matrix. */
function jacobian(z: readonly number[], e: readonly number[]): number[][] {
  const [a, b] = [unit(z), unit(e)], r = unit(a.map((x, d) => x + b[d]));
  const lambda = Math.hypot(...e) / Math.hypot(...z);
  return z.map((_, i) =>
    z.map((_, j) => lambda * ((i === j ? 1 : 0) - 2 * r[i] * r[j] + 2 * b[i] * a[j]))
  );
}

const [N, D] = [5, 4];
const z = draw([N, D], "features", -1, 2), e = draw([N, D], "codes"), up = draw([N, D], "up");

Deno.test("the rotation matrix maps the feature to its code, and preserves angles", () => {
  rowsOf(z, D).forEach((feature, n) => {
    const code = rowsOf(e, D)[n], matrix = jacobian(feature, code);
    assertClose(matrix.map((row) => dot(row, feature)), code, FLOAT64, "λRz");
    const lambda = Math.hypot(...code) / Math.hypot(...feature);
    const gram = matrix.flatMap((row) => matrix.map((other) => dot(row, other) / lambda ** 2));
    const identity = matrix.flatMap((_, i) => matrix.map((_, j) => i === j ? 1 : 0));
    assertClose(gram, identity, { absolute: 1e-6 }, "RRᵀ");
  });
});

testOnEach(
  devices,
  "rotation multiplies the gradient by (λR)ᵀ, and outputs the codes",
  async (device) => {
    const features = parameter(device.tensor(z, [N, D])),
      codes = parameter(device.tensor(e, [N, D]));
    const passed = passGradient(features, codes, "rotation");
    assert.deepEqual(await passed.floats(), e, "exactly");
    assertClose(await rotate(features, codes).floats(), e, EQUATIONS, "rotated");
    const judged = sum(mul(passed, device.tensor(up, [N, D])));
    const [byFeatures, byCodes] = backward(judged, [features, codes]);
    const expected = rowsOf(z, D).flatMap((feature, n) => {
      const matrix = jacobian(feature, rowsOf(e, D)[n]);
      return feature.map((_, j) => dot(matrix.map((row) => row[j]), rowsOf(up, D)[n]));
    });
    assertClose(await byFeatures.floats(), expected, EQUATIONS, "gradient");
    assert.ok((await byCodes.floats()).every((value) => value === 0), "none passes to the codes");
  },
);

testOnEach(devices, "straight-through passes the gradient unchanged", async (device) => {
  const features = parameter(device.tensor(z, [N, D])), codes = device.tensor(e, [N, D]);
  const passed = passGradient(features, codes, "straight-through");
  assert.deepEqual(await passed.floats(), e);
  const [gradient] = backward(sum(mul(passed, device.tensor(up, [N, D]))), [features]);
  assert.deepEqual(await gradient.floats(), up);
});

testOnEach(devices, "opposite vectors and zeros rotate to something finite", async (device) => {
  const features = parameter(device.tensor([1, 0, 0, 0, 2, 2, 0, 0], [4, 2]));
  const codes = device.tensor([-2, 0, 3, 1, 0, 0, 0, 0], [4, 2]);
  const rotated = rotate(features, codes);
  assert.deepEqual([...await rotated.floats()].slice(0, 2).map(Math.abs), [2, 0]);
  const [gradient] = backward(sum(rotated), [features]);
  for (const values of [rotated, gradient]) {
    assert.ok((await values.floats()).every(Number.isFinite));
  }
});
