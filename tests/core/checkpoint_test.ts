/** Checkpoints: the same gradients for less memory. */
import assert from "node:assert/strict";
import { checkpoint } from "../../core/checkpoint.ts";
import { backward, detach, parameter, withoutGradients } from "../../core/execute.ts";
import { normal } from "../../core/functions/creation.ts";
import { add, exp, mul, sigmoid, silu, square, tanh } from "../../core/functions/elementwise.ts";
import { groupNormalize } from "../../core/functions/normalization.ts";
import { matmul } from "../../core/functions/products.ts";
import { mean, sum } from "../../core/functions/reductions.ts";
import { profile } from "../../core/profile.ts";
import { randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Linear } from "../../nn/linear.ts";
import { Activation, type Layer, Sequential } from "../../nn/module.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();
const key = (name: string) => randomKey(7, name);

type Body = (...inputs: readonly [Tensor, ...Tensor[]]) => Tensor;
/** Runs a body: with a checkpoint, or as it is. */
type Run = (body: Body, ...inputs: readonly [Tensor, ...Tensor[]]) => Tensor;

const plainly: Run = (body, ...inputs) => body(...inputs);

const leaf = (device: Device, name: string, shape: readonly number[]): Tensor =>
  parameter(device.tensor(draw(shape, name), shape));

/** Fails unless a loss and its gradients are the same, to the bit, with checkpoints as without. */
async function assertSame(
  wanted: readonly Tensor[],
  lossOf: (run: Run) => Tensor,
): Promise<void> {
  const read = async (run: Run) => {
    const loss = lossOf(run);
    const gradients = backward(loss, wanted);
    return await Promise.all([loss, ...gradients].map((tensor) => tensor.floats()));
  };
  const expected = await read(plainly), got = await read(checkpoint);
  assert.deepEqual(got, expected);
  for (const gradient of expected.slice(1)) assert.ok(gradient.some((value) => value !== 0));
}

testOnEach(devices, "gradients through checkpoints have the same bits", async (device) => {
  const x = leaf(device, "x", [6, 6]), weight = leaf(device, "weight", [6, 6]);
  const other = leaf(device, "other", [6, 6]);
  // The weight is used before, inside (twice) and after; `other` only inside, the input everywhere.
  await assertSame([x, weight, other], (run) => {
    const before = tanh(matmul(x, weight));
    const inside = run(
      (a, b) => add(matmul(sigmoid(matmul(a, weight)), other), mul(silu(matmul(b, weight)), a)),
      before,
      x,
    );
    const after = mul(matmul(inside, weight), before);
    return mean(square(add(after, x)));
  });
});

testOnEach(devices, "tensors that a body captures get their gradients", async (device) => {
  const x = device.tensor(draw([4, 6], "constant"), [4, 6]), weight = leaf(device, "w", [6, 6]);
  const shift = leaf(device, "shift", [6]);
  await assertSame([weight, shift], (run) => {
    const moved = exp(shift);
    return sum(run((a) => tanh(add(matmul(a, weight), moved)), x));
  });
  await assertSame([shift], (run) => sum(run((a) => mul(exp(shift), a), x)));
  const detached = (run: Run) => sum(run((a) => add(mul(a, detach(exp(shift))), weight), weight));
  await assertSame([weight], detached);
});

testOnEach(devices, "parameters of modules used in a body get their gradients", async (device) => {
  const layer = (name: string): Layer => new Linear(device, 8, 8, { key: key(name) });
  const blocks = [0, 1, 2].map((index) =>
    new Sequential([layer(`${index}a`), new Activation(silu), layer(`${index}b`)])
  );
  const parameters = blocks.flatMap((block) => block.parameters());
  const x = device.tensor(draw([5, 8], "batch"), [5, 8]);
  await assertSame(
    parameters,
    (run) => mean(square(blocks.reduce((y, block) => add(y, run((a) => block.forward(a), y)), x))),
  );
});

testOnEach(devices, "a body draws the same random numbers again", async (device) => {
  const x = leaf(device, "noisy", [16, 16]);
  const noisy = (step: number): Body => (a) =>
    mul(a, normal(device, [16, 16], { ...key("noise"), step }));
  await assertSame([x], (run) => sum([1, 2, 3].reduce((y, step) => run(noisy(step), y), x)));
});

testOnEach(devices, "checkpoints can be nested", async (device) => {
  const x = leaf(device, "outer", [5, 5]), weight = leaf(device, "inner", [5, 5]);
  await assertSame([x, weight], (run) => {
    const block: Body = (a) => tanh(add(matmul(a, weight), a));
    return sum(run((a) => run(block, block(run(block, a))), x));
  });
});

testOnEach(
  devices,
  "a graph with checkpoints can be differentiated more than once",
  async (device) => {
    const x = leaf(device, "twice", [4, 4]);
    const y = checkpoint((a) => exp(square(a)), x);
    const loss = sum(mul(y, y));
    const [first] = backward(loss, [x]), [second] = backward(loss, [x]);
    assert.deepEqual(await first.floats(), await second.floats());
    const [byY, byX] = backward(loss, [y, x]);
    assert.deepEqual(await byX.floats(), await first.floats());
    assert.deepEqual(await byY.floats(), (await y.floats()).map((value) => 2 * value));
  },
);

testOnEach(devices, "second derivatives pass through checkpoints", async (device) => {
  const x = leaf(device, "penalised", [3, 4, 6]), weight = leaf(device, "critic", [6, 6]);
  await assertSame([x, weight], (run) => {
    const score = run((a) => {
      const rows = groupNormalize(a, 2);
      return sum(silu(matmul(rows, weight)));
    }, x);
    const [slope] = backward(score, [x], { differentiable: true });
    return sum(square(slope));
  });
});

testOnEach(devices, "a body can compute gradients itself", async (device) => {
  const x = leaf(device, "critic's input", [4, 4]), weight = leaf(device, "critic", [4, 4]);
  await assertSame([weight], (run) =>
    run((a) => {
      const [slope] = backward(sum(tanh(matmul(a, weight))), [a], { differentiable: true });
      return sum(square(slope));
    }, x));
});

testOnEach(
  devices,
  "checkpoints keep only inputs and results, and recompute one body at a time",
  async (device) => {
    const bytes = 64 * 64 * 4, blocks = 6, inner = 8;
    const x = leaf(device, "wide", [64, 64]);
    const block: Body = (a) => {
      let y = a;
      for (let step = 0; step < inner; step++) y = silu(y);
      return y;
    };
    const measure = async (run: Run) => {
      const before = device.liveBytes;
      using scope = device.scope();
      let y = x;
      for (let index = 0; index < blocks; index++) y = run(block, y);
      const loss = sum(y);
      const held = Math.round((device.liveBytes - before) / bytes);
      const taken = await profile(device, "backward", () => {
        const [gradient] = backward(loss, [x], { spent: scope });
        kept.push(scope.keep(gradient));
      });
      const peak = Math.max(...taken.kernels.map(({ liveBytes }) => liveBytes)) - before;
      return { held, peak: Math.round(peak / bytes), names: taken.kernels.map(({ name }) => name) };
    };
    const kept: Tensor[] = [];
    const plain = await measure(plainly), less = await measure(checkpoint);
    assert.deepEqual(await kept[0].floats(), await kept[1].floats());
    assert.ok(plain.held >= blocks * 2 * inner, `${plain.held} arrays without checkpoints`);
    assert.equal(less.held, blocks);
    assert.ok(less.peak <= blocks + 2 * inner + 6, `${less.peak} arrays at the most`);
    assert.ok(plain.peak > 2 * less.peak);
    const sigmoids = (names: readonly string[]) =>
      names.filter((name) => name === "sigmoid").length;
    assert.deepEqual([sigmoids(plain.names), sigmoids(less.names)], [0, blocks * inner]);
    for (const gradient of kept) gradient.dispose();
  },
);

testOnEach(devices, "a checkpoint is not recomputed if no gradient needs it", async (device) => {
  const x = leaf(device, "unasked", [4, 4]), z = leaf(device, "asked", [4, 4]);
  const loss = sum(mul(checkpoint((a) => exp(a), x), z));
  const { kernels } = await profile(device, "backward", () => void backward(loss, [z]));
  assert.ok(kernels.every(({ name }) => name !== "exp"));
});

testOnEach(devices, "without gradients, a checkpoint just runs its body", async (device) => {
  const constant = device.tensor(draw([3], "constant"), [3]), x = leaf(device, "alone", [3]);
  const result = checkpoint((a) => exp(square(a)), constant);
  assert.deepEqual([result.requiresGradient, result.producer], [false, undefined]);
  assert.deepEqual(await result.floats(), await exp(square(constant)).floats());
  const unrecorded = withoutGradients(() => checkpoint((a) => exp(square(a)), x));
  assert.equal(unrecorded.requiresGradient, false);
  assert.equal(checkpoint((a) => a, x), x, "what is only passed on");
  const before = exp(x);
  assert.equal(checkpoint(() => before, x), before);
});

testOnEach(devices, "a checkpoint rejects bodies that it cannot rerun", (device) => {
  const x = leaf(device, "refused", [2]);
  assert.throws(() => checkpoint((async (a: Tensor) => await a) as unknown as Body, x), {
    name: "TypeError",
    message: "Cannot make a checkpoint: the body must return one tensor, got a promise",
  });
  assert.throws(() => checkpoint((() => 3) as unknown as Body, x), {
    name: "TypeError",
    message: "Cannot make a checkpoint: the body must return one tensor, got number",
  });
  let times = 0;
  const changing = checkpoint((a) => times++ === 0 ? exp(a) : detach(a), x);
  assert.throws(() => backward(sum(changing), [x]), {
    name: "TypeError",
    message: "Cannot backpropagate: the body of a checkpoint must compute the same each time, " +
      "got [2] first and then [2] without a gradient",
  });
});
