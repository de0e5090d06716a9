/** The cross-entropy with targets spread over near codes: its equation, its gradient, its pieces. */
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { softCrossEntropy } from "../../nn/soft_cross_entropy.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS, SINGLE_CALL } from "../tolerances.ts";

const devices = await openTestDevices();

const ROWS = 7, WIDTH = 4, CLASSES = 5, DIM = 3;
const features = draw([ROWS, WIDTH], "features"), weight = draw([WIDTH, CLASSES], "weight");
const vectors = draw([ROWS, DIM], "vectors"), codes = draw([CLASSES, DIM], "codes");

function softmax(values: readonly number[]): number[] {
  const powers = values.map(Math.exp), total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

/** The losses and the gradient by the features of their weighted sum, in float64. */
function plain(temperature: number, weights: Float32Array) {
  const losses: number[] = [], gradient: number[] = [];
  for (let row = 0; row < ROWS; row++) {
    const logits = Array.from(
      { length: CLASSES },
      (_, k) =>
        Array.from({ length: WIDTH }, (_, c) => features[row * WIDTH + c] * weight[c * CLASSES + k])
          .reduce((a, b) => a + b),
    );
    const targets = softmax(
      Array.from(
        { length: CLASSES },
        (_, k) =>
          -Array.from({ length: DIM }, (_, d) => (vectors[row * DIM + d] - codes[k * DIM + d]) ** 2)
            .reduce((a, b) => a + b) / temperature,
      ),
    );
    const shares = softmax(logits);
    losses.push(-targets.reduce((total, target, k) => total + target * Math.log(shares[k]), 0));
    for (let c = 0; c < WIDTH; c++) {
      const slope = shares.reduce(
        (total, share, k) => total + (share - targets[k]) * weight[c * CLASSES + k],
        0,
      );
      gradient.push(weights[row] * slope);
    }
  }
  return { losses, gradient };
}

testOnEach(devices, "losses and gradients follow the equation, also in pieces", async (device) => {
  const weights = draw([ROWS], "weights");
  const x = parameter(device.tensor(features, [ROWS, WIDTH]));
  const w = parameter(device.tensor(weight, [WIDTH, CLASSES]));
  const near = {
    vectors: device.tensor(vectors, [ROWS, DIM]),
    codes: device.tensor(codes, [CLASSES, DIM]),
  };
  for (const temperature of [0.2, 1, 10]) {
    const expected = plain(temperature, weights);
    let ofWeight: Float32Array | undefined;
    for (const heldLogits of [1000, 10, 1]) {
      const losses = softCrossEntropy(x, w, { ...near, temperature, heldLogits });
      assertClose(await losses.floats(), expected.losses, EQUATIONS, "losses");
      const total = sum(mul(losses, device.tensor(weights, [ROWS])));
      const [byX, byW] = backward(total, [x, w]);
      assertClose(await byX.floats(), expected.gradient, EQUATIONS, "gradient by the features");
      ofWeight ??= await byW.floats();
      assertClose(await byW.floats(), ofWeight, SINGLE_CALL, "gradient by the weight");
    }
  }
});
