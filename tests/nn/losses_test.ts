/** Losses and their gradients against float64. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { add } from "../../core/functions/elementwise.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { profile } from "../../core/profile.ts";
import {
  crossEntropy,
  crossEntropyOfRows,
  meanAbsoluteError,
  meanSquaredError,
} from "../../nn/losses.ts";
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

testOnEach(devices, "cross-entropy rejects mismatched shapes", (device) => {
  const refused = (logits: Shape, targets: Shape) => {
    const run = () => crossEntropy(zeros(device, logits), zeros(device, targets, "int32"));
    assert.throws(run, {
      name: "TypeError",
      message: "Cannot take the cross-entropy: logits must be float32 [N, classes] and targets " +
        `int32 [N], got float32 [${logits.join(", ")}] and int32 [${targets.join(", ")}]`,
    });
  };
  refused([4, 3], [1]);
  refused([4, 3], [4, 1]);
  refused([2, 2, 3], [2]);
  refused([4], [4]);
});

testOnEach(
  devices,
  "label smoothing spreads a share of each target over all classes",
  async (device) => {
    const [rows, classes, smoothing] = [4, 7, 0.3];
    const logits = draw([rows, classes], "smoothed", -4, 4), targets = [0, 6, 3, 3];
    const x = leaf(device, logits, [rows, classes]);
    const t = device.tensor(Int32Array.from(targets), [rows]);
    const losses = crossEntropyOfRows(x, t, { smoothing });
    const expected = targets.map((target, row) => {
      const line = Array.from(logits.slice(row * classes, (row + 1) * classes));
      const total = Math.log(line.reduce((sum, value) => sum + Math.exp(value), 0));
      return line.reduce((loss, value, c) => {
        const wanted = smoothing / classes + (c === target ? 1 - smoothing : 0);
        return loss - wanted * (value - total);
      }, 0);
    });
    assertClose(await losses.floats(), expected, EQUATIONS, "losses");
    const mean = crossEntropy(x, t, { smoothing });
    const wanted = expected.reduce((sum, loss) => sum + loss, 0) / rows;
    assertClose(await mean.floats(), [wanted], EQUATIONS, "their mean");
  },
);

testOnEach(
  devices,
  "negative targets are ignored, and the mean is taken over the others",
  async (device) => {
    const logits = draw([4, 3], "ignored", -2, 2);
    const x = leaf(device, logits, [4, 3]);
    const loss = crossEntropy(x, device.tensor(Int32Array.of(2, -1, 0, -100), [4]));
    const two = leaf(device, Float32Array.of(...logits.slice(0, 3), ...logits.slice(6, 9)), [2, 3]);
    const same = crossEntropy(two, device.tensor(Int32Array.of(2, 0), [2]));
    assertClose(await loss.floats(), await same.floats(), EQUATIONS, "loss");
    const [byX] = backward(loss, [x]), [byTwo] = backward(same, [two]);
    const [few, all] = [await byTwo.floats(), await byX.floats()];
    const zeros = [0, 0, 0];
    assertClose(
      all,
      [...few.slice(0, 3), ...zeros, ...few.slice(3), ...zeros],
      EQUATIONS,
      "gradient",
    );
    const none = crossEntropy(x, device.tensor(Int32Array.of(-1, -1, -1, -1), [4]));
    assert.equal(await none.item(), 0);
    assert.deepEqual([...await backward(none, [x])[0].floats()], Array(12).fill(0));
  },
);

testOnEach(
  devices,
  "cross-entropy and its gradient need only one array of the logits' size",
  async (device) => {
    const [rows, classes] = [64, 1024], bytes = rows * classes * 4;
    const x = leaf(device, draw([rows, classes], "large"), [rows, classes]);
    const targets = device.tensor(Int32Array.from({ length: rows }, (_, row) => row), [rows]);
    const before = device.liveBytes;
    const taken = await profile(device, "cross-entropy", () => {
      const loss = crossEntropy(x, targets);
      backward(loss, [x]);
    });
    const most = Math.max(...taken.kernels.map(({ liveBytes }) => liveBytes)) - before;
    assert.ok(most < 1.1 * bytes, `${most} bytes, ${bytes} in the logits`);
    const large = taken.kernels.filter(({ bytes: moved }) => moved >= bytes);
    assert.deepEqual(large.map(({ name }) => name), ["crossEntropy", "crossEntropyGradient"]);
  },
);

testOnEach(
  devices,
  "cross-entropy rejects targets that are not classes, and an invalid smoothing",
  async (device) => {
    const logits = zeros(device, [2, 3]), targets = device.tensor(Int32Array.of(0, 3), [2]);
    assert.throws(() => crossEntropy(logits, targets), {
      name: "RangeError",
      message: "Cannot take the cross-entropy: every target must be below 3, got 3",
    });
    const computed = add(targets, zeros(device, [2], "int32"));
    const [first, second] = await crossEntropyOfRows(logits, computed).floats();
    assertClose([first], [Math.log(3)], EQUATIONS, "a class");
    assert.equal(second, NaN);
    for (const smoothing of [-0.1, 1.5, NaN]) {
      assert.throws(() => crossEntropy(logits, targets, { smoothing }), {
        name: "RangeError",
        message: `Cannot take the cross-entropy: the smoothing must be in [0, 1], got ${smoothing}`,
      });
    }
  },
);
