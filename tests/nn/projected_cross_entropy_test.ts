/** The cross-entropy in pieces: the same numbers, less memory. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { matmul } from "../../core/functions/products.ts";
import { sum } from "../../core/functions/reductions.ts";
import { mul } from "../../core/functions/elementwise.ts";
import type { Device } from "../../core/tensor.ts";
import { profile } from "../../core/profile.ts";
import { crossEntropyOfRows } from "../../nn/losses.ts";
import { projectedCrossEntropy } from "../../nn/projected_cross_entropy.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, SINGLE_CALL } from "../tolerances.ts";

const devices = await openTestDevices();

function operands(device: Device, rows: number, width: number, classes: number) {
  const targets = Int32Array.from({ length: rows }, (_, row) => row % 4 === 3 ? -1 : row % classes);
  return {
    features: parameter(device.tensor(draw([rows, width], "features"), [rows, width])),
    weight: parameter(device.tensor(draw([width, classes], "weight"), [width, classes])),
    targets: device.tensor(targets, [rows]),
    weights: device.tensor(draw([rows], "weights"), [rows]),
  };
}

testOnEach(devices, "computing in pieces gives the same losses and gradients", async (device) => {
  const { features, weight, targets, weights } = operands(device, 10, 6, 9);
  const options = { smoothing: 0.1 };
  const whole = crossEntropyOfRows(matmul(features, weight), targets, options);
  const expected = backward(sum(mul(whole, weights)), [features, weight]);
  // All at once, in pieces of 3 rows with one left, of one row, and of less than a row.
  for (const heldLogits of [90, 27, 9, 1]) {
    const losses = projectedCrossEntropy(features, weight, targets, { ...options, heldLogits });
    const what = `${heldLogits} held`;
    assertClose(await losses.floats(), await whole.floats(), SINGLE_CALL, what);
    const gradients = backward(sum(mul(losses, weights)), [features, weight]);
    for (const [index, gradient] of gradients.entries()) {
      assertClose(await gradient.floats(), await expected[index].floats(), SINGLE_CALL, what);
    }
  }
});

testOnEach(devices, "computing in pieces never holds all logits in memory", async (device) => {
  const { features, weight, targets } = operands(device, 64, 4, 1000);
  const logits = 64 * 1000 * 4;
  const peakOf = async (heldLogits: number) => {
    using _scope = device.scope();
    const before = device.liveBytes;
    const { kernels } = await profile(device, "losses and gradients", () => {
      const loss = sum(projectedCrossEntropy(features, weight, targets, { heldLogits }));
      backward(loss, [features, weight]);
    });
    return Math.max(...kernels.map(({ liveBytes }) => liveBytes)) - before;
  };
  assert.ok(await peakOf(64_000) > logits, "all at once");
  assert.ok(await peakOf(4000) < logits / 2, "in pieces of four rows");
});
