/** Losses and their gradients against float64. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { crossEntropy, meanAbsoluteError, meanSquaredError } from "../../nn/losses.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

const leaf = (device: Device, values: Float32Array<ArrayBuffer>, shape: Shape): Tensor =>
  parameter(device.tensor(values, shape));

const mean = (terms: ArrayLike<number>): number =>
  Array.from(terms).reduce((total, term) => total + term, 0) / terms.length;

testOnEach(devices, "mean errors are means over all elements", async (device) => {
  const shape = [3, 5, 7], a = draw(shape, "a"), b = draw(shape, "b");
  const [x, y] = [leaf(device, a, shape), leaf(device, b, shape)];
  const differences = Array.from(a, (value, i) => value - b[i]);

  const squared = meanSquaredError(x, y);
  assert.deepEqual(squared.shape, []);
  assertClose(await squared.floats(), [mean(differences.map((d) => d * d))], EQUATIONS, "squared");
  const [bySquaredX, bySquaredY] = backward(squared, [x, y]);
  const slopes = differences.map((d) => 2 * d / a.length);
  assertClose(await bySquaredX.floats(), slopes, EQUATIONS, "gradient of the left side");
  assertClose(await bySquaredY.floats(), slopes.map((s) => -s), EQUATIONS, "of the right side");

  const absolute = meanAbsoluteError(x, y);
  assertClose(await absolute.floats(), [mean(differences.map(Math.abs))], EQUATIONS, "absolute");
  const [byAbsolute] = backward(absolute, [x]);
  const signs = differences.map((d) => Math.sign(d) / a.length);
  assertClose(await byAbsolute.floats(), signs, EQUATIONS, "gradient of the absolute error");
});

testOnEach(devices, "cross-entropy is −ln softmax at the target", async (device) => {
  const [rows, classes] = [6, 5];
  const logits = draw([rows, classes], "logits", -4, 4), targets = [0, 4, 2, 2, 1, 3];
  const x = leaf(device, logits, [rows, classes]);
  const loss = crossEntropy(x, device.tensor(Int32Array.from(targets), [rows]));
  const shares = targets.map((_, row) => {
    const powers = Array.from(logits.slice(row * classes, (row + 1) * classes), Math.exp);
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  });
  const expected = mean(targets.map((target, row) => -Math.log(shares[row][target])));
  assertClose(await loss.floats(), [expected], EQUATIONS, "loss");
  const [gradient] = backward(loss, [x]);
  const slopes = shares.flatMap((row, n) =>
    row.map((share, c) => (share - (targets[n] === c ? 1 : 0)) / rows)
  );
  assertClose(await gradient.floats(), slopes, EQUATIONS, "gradient");
});

testOnEach(devices, "cross-entropy of large logits is finite", async (device) => {
  const logits = device.tensor([1e4, 0, -1e4, 0], [2, 2]);
  const loss = crossEntropy(logits, device.tensor(Int32Array.of(0, 0), [2]));
  assertClose(await loss.floats(), [5e3], EQUATIONS, "loss");
});

testOnEach(devices, "cross-entropy refuses shapes that do not agree", (device) => {
  const refused = (logits: Shape, targets: Shape) => {
    const run = () => crossEntropy(zeros(device, logits), zeros(device, targets, "int32"));
    assert.throws(run, {
      name: "TypeError",
      message: "Cannot take the cross-entropy: logits must be [N, classes] and targets [N], got " +
        `[${logits.join(", ")}] and [${targets.join(", ")}]`,
    });
  };
  refused([4, 3], [1]);
  refused([4, 3], [4, 1]);
  refused([2, 2, 3], [2]);
  refused([4], [4]);
});
