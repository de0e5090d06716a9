/** Principal components: eigenvectors, orthogonal, the greatest first. */
import assert from "node:assert/strict";
import { principalComponents } from "../../../objectives/diffusion/principal_components.ts";
import { draw } from "../../each_device.ts";

/** A covariance: F·Fᵀ of `[side, rank]` values. */
function covariance(side: number, rank: number): number[][] {
  const f = draw([side, rank], `covariance ${side}`);
  const dot = (i: number, j: number) =>
    Array.from({ length: rank }, (_, k) => f[i * rank + k] * f[j * rank + k])
      .reduce((sum, value) => sum + value);
  return Array.from({ length: side }, (_, i) => Array.from({ length: side }, (_, j) => dot(i, j)));
}

for (const [side, rank] of [[1, 1], [2, 1], [7, 7], [40, 12], [64, 64]]) {
  Deno.test(`${side} axes of rank ${rank}: C·v = λ·v, and the vectors are orthonormal`, () => {
    const matrix = covariance(side, rank);
    const { directions, variances } = principalComponents(matrix, side);
    const dot = (a: readonly number[], b: readonly number[]) =>
      a.reduce((sum, value, at) => sum + value * b[at], 0);
    const scale = variances[0];
    directions.forEach((v, at) => {
      matrix.forEach((row, i) => {
        assert.ok(
          Math.abs(dot(row, v) - variances[at] * v[i]) < 1e-12 * scale * side,
          `vector ${at}`,
        );
      });
      directions.forEach((other, place) => {
        assert.ok(Math.abs(dot(v, other) - (at === place ? 1 : 0)) < 1e-12 * side);
      });
      assert.ok(at === 0 || variances[at] <= variances[at - 1]);
    });
    const trace = matrix.reduce((sum, row, at) => sum + row[at], 0);
    assert.ok(Math.abs(variances.reduce((sum, value) => sum + value) / trace - 1) < 1e-12);
    assert.ok(variances.slice(rank).every((value) => value < 1e-12 * scale * side));
  });
}

Deno.test("the requested number of components with the largest eigenvalues is returned", () => {
  const { directions, variances } = principalComponents([[1, 0, 0], [0, 3, 0], [0, 0, 2]], 2);
  assert.deepEqual(variances, [3, 2]);
  assert.deepEqual(directions, [[0, 1, 0], [0, 0, 1]]);
});
