/** The tape: what is recorded, and the gradients that come of it. */
import assert from "node:assert/strict";
import {
  assign,
  backward,
  detach,
  execute,
  parameter,
  straightThrough,
  withoutGradients,
} from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import {
  abs,
  add,
  cast,
  div,
  exp,
  gelu,
  log,
  mul,
  relu,
  sigmoid,
  silu,
  square,
  sub,
} from "../../core/functions/elementwise.ts";
import { maxPool, reshape } from "../../core/functions/movement.ts";
import { groupNormalize, layerNormalize } from "../../core/functions/normalization.ts";
import { conv2d, matmul } from "../../core/functions/products.ts";
import { logsumexp, max, mean, softmax, sum } from "../../core/functions/reductions.ts";
import { profile } from "../../core/profile.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { DIFFERENCE_STEP, DIFFERENCES, ROUNDING, SECOND_STEP } from "./agreement.ts";

const devices = await openTestDevices();
const [reference, ...others] = devices;

const leaf = (device: Device, values: readonly number[], shape: Shape = [values.length]): Tensor =>
  parameter(device.tensor(values, shape));

async function assertGradients(
  loss: Tensor,
  parameters: readonly Tensor[],
  expected: readonly (readonly number[])[],
): Promise<void> {
  const gradients = backward(loss, parameters);
  for (const [index, wanted] of expected.entries()) {
    assert.deepEqual(gradients[index].shape, parameters[index].shape);
    assertClose(await gradients[index].floats(), wanted, EQUATIONS, `gradient ${index}`);
  }
}

testOnEach(devices, "the gradients of an input used twice add up", async (device) => {
  const x = leaf(device, [2, -3]);
  await assertGradients(sum(add(mul(x, x), x)), [x], [[5, -5]]);
  await assertGradients(sum(sub(x, x)), [x], [[0, 0]]);
});

testOnEach(devices, "gradients are summed where branches of a graph rejoin", async (device) => {
  // y = a·b with a = x² and b = exp(x)/a: y = exp(x)
  const x = leaf(device, [0.5, -1.5]);
  const a = square(x);
  await assertGradients(sum(mul(a, div(exp(x), a))), [x], [[Math.exp(0.5), Math.exp(-1.5)]]);

  // The shorter branch on either side
  const slopes = [0.5, -1.5].map((value) => 2 * value * (Math.exp(value * value) + 1));
  await assertGradients(sum(add(exp(a), a)), [x], [slopes]);
  await assertGradients(sum(add(a, exp(a))), [x], [slopes]);

  // Each level uses the last one twice: 2²⁰ paths, 20 operations.
  const one = leaf(device, [1]);
  let doubled: Tensor = one;
  for (let level = 0; level < 20; level++) doubled = add(doubled, doubled);
  await assertGradients(sum(doubled), [one], [[2 ** 20]]);
});

testOnEach(devices, "a long chain of operations can be differentiated", async (device) => {
  const x = leaf(device, [1]);
  let last: Tensor = x;
  for (let step = 0; step < 3000; step++) last = add(last, 1);
  await assertGradients(sum(last), [x], [[1]]);
});

testOnEach(devices, "a parameter that the loss does not depend on gets zeros", async (device) => {
  const x = leaf(device, [1, 2]), unused = leaf(device, [1, 2, 3], [3, 1]);
  await assertGradients(sum(x), [unused, x], [[0, 0, 0], [1, 1]]);
  const counted = leaf(device, [1.5]);
  await assertGradients(
    add(sum(x), cast(cast(sum(counted), "int32"), "float32")),
    [counted],
    [[0]],
  );
});

testOnEach(
  devices,
  "gradients of intermediate values can be requested, in any order",
  async (device) => {
    const x = leaf(device, [1, 2]);
    const y = mul(x, 3);
    const loss = sum(square(y));
    await assertGradients(loss, [y, x, loss, y], [[6, 12], [18, 36], [1], [6, 12]]);
    const scalar = leaf(device, [4], []);
    await assertGradients(scalar, [scalar], [[1]]);
  },
);

testOnEach(devices, "a graph can be differentiated more than once", async (device) => {
  const x = leaf(device, [0.5, 1, 2]);
  const loss = sum(mul(exp(x), log(x)));
  const [first] = backward(loss, [x]);
  const [second] = backward(loss, [x]);
  assert.deepEqual(await first.floats(), await second.floats());
  const [third] = backward(add(loss, sum(x)), [x]);
  const plusOne = (await first.floats()).map((value) => value + 1);
  assertClose(await third.floats(), plusOne, EQUATIONS, "a graph that was extended");
});

testOnEach(devices, "only a recorded scalar can be differentiated", (device) => {
  const x = leaf(device, [1, 2]);
  assert.throws(() => backward(x, [x]), {
    name: "TypeError",
    message:
      "Cannot backpropagate: the loss must be one value that depends on a parameter, got shape [2]",
  });
  assert.throws(() => backward(sum(device.tensor([1], [1])), [x]), {
    name: "TypeError",
    message: "Cannot backpropagate: the loss must be one value that depends on a parameter, " +
      "got shape [] without a recorded parameter",
  });
  assert.throws(() => backward(cast(sum(x), "int32"), [x]), TypeError);
  const forgotten = device.tensor([1, 2], [1, 2]);
  assert.throws(() => backward(sum(add(x, forgotten)), [x, forgotten]), {
    name: "TypeError",
    message: "Cannot backpropagate: gradients are only kept for parameters, " +
      "got a tensor [1, 2] that parameter() did not mark",
  });
});

testOnEach(devices, "nothing is recorded if no input needs a gradient", (device) => {
  const x = leaf(device, [1]);
  const inside = withoutGradients(() => {
    const nested = withoutGradients(() => square(x));
    assert.equal(nested.requiresGradient, false);
    return square(x);
  });
  assert.deepEqual([inside.requiresGradient, inside.producer], [false, undefined]);
  assert.throws(() =>
    withoutGradients(() => {
      throw new Error("stop");
    }), /stop/);
  assert.equal(square(x).requiresGradient, true, "recording goes on after an error");
  assert.throws(() => withoutGradients(async () => await 1), {
    name: "TypeError",
    message: "Cannot run withoutGradients: the body must be synchronous, got a promise",
  });
  assert.equal(square(x).requiresGradient, true, "and after a body that was refused");
});

testOnEach(devices, "a detached value has no gradient", async (device) => {
  const x = leaf(device, [3, 4]);
  await assertGradients(sum(mul(x, detach(x))), [x], [[3, 4]]);
  assert.equal(detach(square(x)).requiresGradient, false);
  assert.equal(detach(x).buffer, x.buffer);
});

testOnEach(
  devices,
  "straight-through gives exactly the first tensor's values and the other's gradient",
  async (device) => {
    const x = leaf(device, [0.1, 0.9]), values = leaf(device, [1 / 3, 1e-30]);
    const passed = straightThrough(mul(x, 2), add(values, 0));
    assert.deepEqual(await passed.floats(), await values.floats());
    await assertGradients(sum(mul(passed, passed)), [x, values], [[4 / 3, 4e-30], [0, 0]]);
    const constant = straightThrough(device.tensor([1, 2], [2]), values);
    await assertGradients(sum(constant), [values], [[0, 0]]);
    assert.throws(() => straightThrough(x, device.tensor([1, 2], [2, 1])), TypeError);
  },
);

testOnEach(devices, "assignment overwrites in place and is not recorded", async (device) => {
  const target = leaf(device, [1, 2]), source = leaf(device, [3, 4]);
  const view = target.view();
  assign(target, square(source));
  assert.deepEqual([...await view.floats()], [9, 16]);
  assert.equal(target.producer, undefined);
  await assertGradients(sum(target), [target, source], [[1, 1], [0, 0]]);
  assert.throws(() => assign(target, device.tensor([1, 2], [2, 1])), {
    name: "TypeError",
    message: "Cannot run copy into a tensor: it must be float32 [2, 1], got float32 [2]",
  });
  assert.throws(() => assign(target, device.tensor(Int32Array.of(1, 2), [2])), TypeError);
  assert.throws(() => assign(target, view), {
    name: "TypeError",
    message:
      "Cannot run copy into a tensor: it must have memory of its own, got that of an operand of [2]",
  });
});

testOnEach(devices, "outputs are written only to tensors of matching shape and dtype", (device) => {
  const x = device.tensor([1, 2], [2]), y = zeros(device, [2]);
  const copy = (into: readonly Tensor[]) => execute(device, "copy", [x], {}, into);
  assert.deepEqual(copy([y]), [y]);
  assert.throws(() => copy([]), {
    name: "TypeError",
    message: "Cannot run copy into a tensor: 1 are needed, got 0",
  });
  assert.throws(() => copy([y, zeros(device, [2])]), TypeError);
  assert.throws(() => copy([zeros(device, [3])]), TypeError);
});

for (const device of others) {
  Deno.test(`operands on two devices are rejected (${device.name})`, () => {
    using _here = reference.scope();
    using _there = device.scope();
    const x = reference.tensor([1, 2], [2]), y = device.tensor([1, 2], [2]);
    const message =
      `Cannot run add: all operands must be on one device, got reference and ${device.name}`;
    assert.throws(() => add(x, y), { name: "TypeError", message });
    assert.throws(() => assign(x, y), TypeError);
    assert.throws(() => execute(device, "copy", [y], {}, [x]), {
      name: "TypeError",
      message: `Cannot run copy into a tensor: it must be on ${device.name}, got one on reference`,
    });
  });
}

testOnEach(devices, "the backward pass leaves only the requested gradients in memory", (device) => {
  const x = leaf(device, Array(4096).fill(0.5), [64, 64]);
  const weight = leaf(device, Array(4096).fill(0.01), [64, 64]);
  let hidden: Tensor = x;
  for (let layer = 0; layer < 8; layer++) hidden = relu(add(matmul(hidden, weight), x));
  const loss = mean(square(hidden));
  const live = device.liveBytes, held = live + device.pooledBytes;
  const gradients = backward(loss, [weight, x]);
  assert.equal(device.liveBytes - live, 2 * 64 * 64 * 4);
  const more = device.liveBytes + device.pooledBytes - held;
  assert.ok(more <= 8 * 64 * 64 * 4, `gradients on the way are recycled, ${more} more bytes held`);
  for (const gradient of gradients) gradient.dispose();
  assert.equal(device.liveBytes, live);
});

testOnEach(
  devices,
  "the backward pass frees what a spent scope created and did not keep",
  async (device) => {
    const weight = parameter(device.tensor(draw([64, 64], "weight"), [64, 64]));
    const outside = exp(weight);
    const run = async (isSpent: boolean) => {
      using scope = device.scope();
      const made = [matmul(weight, outside)];
      for (let layer = 0; layer < 8; layer++) made.push(sigmoid(made[layer]));
      const loss = scope.keep(mean(made[8])), kept = scope.keep(made[4]);
      const before = device.liveBytes;
      const [gradient] = backward(loss, [weight], isSpent ? { spent: scope } : {});
      return {
        gradient: await gradient.floats(),
        released: before - device.liveBytes + 64 * 64 * 4,
        disposed: made.map(({ isDisposed }) => isDisposed),
        survives: await loss.item() > 0 && (await kept.floats()).length === 64 * 64,
      };
    };
    const plain = await run(false), spent = await run(true);
    assert.deepEqual(spent.gradient, plain.gradient);
    assert.deepEqual(plain.disposed, Array(9).fill(false));
    assert.deepEqual(spent.disposed, Array.from({ length: 9 }, (_, layer) => layer !== 4));
    assert.ok(spent.released >= 8 * 64 * 64 * 4 && plain.released <= 0);
    assert.ok(spent.survives && !outside.isDisposed);
  },
);

/** The names of the kernels that `body` runs, in order. */
async function kernelsOf(device: Device, body: () => void): Promise<string[]> {
  const { kernels } = await profile(device, "kernels", () => {
    using _scope = device.scope();
    body();
  });
  return kernels.map(({ name }) => name);
}

testOnEach(
  devices,
  "the backward pass follows only the paths to the requested tensors",
  async (device) => {
    const images = parameter(device.tensor(draw([2, 6, 6, 3], "images"), [2, 6, 6, 3]));
    const filters = [0, 1, 2].map((layer) =>
      parameter(device.tensor(draw([3, 3, 3, 3], `filter ${layer}`), [3, 3, 3, 3]))
    );
    const hidden: Tensor[] = [images];
    for (const filter of filters) {
      hidden.push(silu(conv2d(hidden[hidden.length - 1], filter, { padding: 1 })));
    }
    const loss = mean(square(hidden[3]));
    const everything = [images, ...filters, hidden[2]];
    const all = await Promise.all(backward(loss, everything).map((gradient) => gradient.floats()));
    const cost = async (wanted: readonly Tensor[]) => {
      const gradients = backward(loss, wanted);
      for (const [index, gradient] of gradients.entries()) {
        const expected = all[everything.indexOf(wanted[index])];
        assert.deepEqual(await gradient.floats(), expected, "the same to the bit");
      }
      const names = await kernelsOf(device, () => void backward(loss, wanted));
      const count = (name: string) => names.filter((other) => other === name).length;
      return {
        total: names.length,
        byFilter: count("conv2dFilter"),
        byImages: count("convTranspose2d"),
      };
    };
    const whole = await cost(everything);
    assert.deepEqual([whole.byFilter, whole.byImages], [3, 3]);
    const toImages = await cost([images]);
    assert.deepEqual([toImages.byFilter, toImages.byImages], [0, 3]);
    assert.equal(toImages.total, whole.total - 3, "nothing but the filters' gradients is spared");
    const toLast = await cost([filters[2]]);
    assert.deepEqual([toLast.byFilter, toLast.byImages], [1, 0]);
    const toHidden = await cost([hidden[2]]);
    assert.deepEqual([toHidden.byFilter, toHidden.byImages], [0, 1]);
    assert.ok(toHidden.total < toImages.total / 2 && toLast.total < toImages.total / 2);
    const unrelated = leaf(device, [1, 2]), scalar = leaf(device, [1]);
    const live = device.liveBytes;
    for (const lost of [loss, scalar]) backward(lost, [unrelated])[0].dispose();
    assert.equal(device.liveBytes, live, "nothing but zeros is left");
    assert.deepEqual(await kernelsOf(device, () => void backward(loss, [unrelated])), [
      "full",
      "full",
    ]);
  },
);

testOnEach(
  devices,
  "a spent scope is freed even if its gradients are not requested",
  (device) => {
    const weight = leaf(device, [1, 2]), x = leaf(device, [3, 4]);
    using scope = device.scope();
    const [branch, path] = [exp(weight), square(x)];
    const loss = scope.keep(sum(mul(branch, path)));
    backward(loss, [x], { spent: scope });
    assert.deepEqual([branch.isDisposed, path.isDisposed, x.isDisposed], [true, true, false]);
  },
);

// ---- gradients of gradients ----------------------------------------------------------------------------------

const DIFFERENTIABLE = { differentiable: true };

testOnEach(devices, "gradients can be differentiated any number of times", async (device) => {
  const x = leaf(device, [0.5, -1.5]);
  const slopes = [
    (x: number) => 4 * x ** 3,
    (x: number) => 12 * x ** 2,
    (x: number) => 24 * x,
    () => 24,
    () => 0,
  ];
  let y = square(square(x));
  for (const slope of slopes) {
    [y] = backward(sum(y), [x], DIFFERENTIABLE);
    assert.equal(y.requiresGradient, y.producer !== undefined);
    assertClose(await y.floats(), [0.5, -1.5].map(slope), EQUATIONS, "derivative");
    if (!y.requiresGradient) break;
  }
});

testOnEach(
  devices,
  "gradients are constants unless differentiable ones are requested",
  async (device) => {
    const x = leaf(device, [1, 2]);
    const [plain] = backward(sum(square(x)), [x]);
    assert.deepEqual([plain.requiresGradient, plain.producer], [false, undefined]);
    const [recorded] = backward(sum(square(x)), [x], DIFFERENTIABLE);
    assert.deepEqual(await recorded.floats(), await plain.floats());
    await assertGradients(sum(mul(recorded, x)), [x], [[4, 8]]);
    const [linear] = backward(sum(mul(x, 3)), [x], DIFFERENTIABLE);
    assert.equal(linear.requiresGradient, false, "what depends on no parameter");
    const passed = straightThrough(square(x), device.tensor([5, 6], [2]));
    const [through] = backward(sum(mul(passed, x)), [x], DIFFERENTIABLE);
    await assertGradients(sum(through), [x], [[6, 12]]); // of values + 2x²: 2x straight through, and 4x
  },
);

testOnEach(devices, "every parameter gets a gradient tensor of its own", async (device) => {
  const a = leaf(device, [1, 2]), b = leaf(device, [3, 4]);
  const [byA, byB, again] = backward(sum(add(a, b)), [a, b, a], DIFFERENTIABLE);
  byA.dispose();
  again.dispose();
  assert.deepEqual([...await byB.floats()], [1, 1]);
});

testOnEach(devices, "values that differentiable gradients need are not freed", (device) => {
  using scope = device.scope();
  const x = leaf(device, [1]);
  assert.throws(() => backward(sum(square(x)), [x], { differentiable: true, spent: scope }), {
    name: "TypeError",
    message: "Cannot backpropagate: differentiable gradients need the intermediate results of " +
      "the loss, got a spent scope",
  });
});

testOnEach(
  devices,
  "a gradient passes through maxPool only if that gradient is a constant",
  async (device) => {
    const x = leaf(device, [1, 3, 2, 0], [1, 2, 2, 1]);
    const pooled = () => maxPool(x, 2);
    const [constant] = backward(sum(pooled()), [x], DIFFERENTIABLE);
    await assertGradients(sum(mul(constant, x)), [x], [[0, 1, 0, 0]]);
    const [slope] = backward(sum(square(pooled())), [x], DIFFERENTIABLE);
    assert.deepEqual([...await slope.floats()], [0, 6, 0, 0]);
    assert.throws(() => backward(sum(square(slope)), [x]), {
      name: "TypeError",
      message: "Cannot backpropagate: maxPool has no second derivative",
    });
  },
);

testOnEach(
  devices,
  "the gradient penalty of a discriminator agrees with finite differences",
  async (device) => {
    const images = draw([2, 8, 8, 3], "real images"), shape = [2, 8, 8, 3];
    const shapes: Readonly<Record<string, Shape>> = {
      first: [4, 4, 3, 8],
      bias: [8],
      second: [3, 3, 8, 6],
      scale: [6],
      head: [6, 1],
    };
    const start = Object.entries(shapes).map(([name, of]) => draw(of, `weight ${name}`, -0.5, 0.5));
    /** E ‖∂ Σ D(x) / ∂x‖² (arXiv 1801.04406), with the weights as given. */
    const penalty = (weights: readonly Tensor[]): Tensor => {
      const [first, bias, second, scale, head] = weights;
      const x = parameter(device.tensor(images, shape));
      const a = silu(conv2d(x, first, { stride: 2, padding: 1, bias }));
      const b = groupNormalize(conv2d(a, second, { padding: 1 }), 3);
      const features = mean(silu(mul(b, scale)), [1, 2]);
      const [gradient] = backward(sum(matmul(features, head)), [x], DIFFERENTIABLE);
      return mul(sum(square(gradient)), 1 / 2);
    };
    const tensorsOf = (values: readonly ArrayLike<number>[]) =>
      values.map((array, index) =>
        device.tensor(Float32Array.from(array), Object.values(shapes)[index])
      );
    const weights = tensorsOf(start).map(parameter);
    const gradients = await Promise.all(
      backward(penalty(weights), weights).map((gradient) => gradient.floats()),
    );
    for (const [index, name] of Object.keys(shapes).entries()) {
      const way = draw(shapes[name], `way ${name}`);
      const at = async (step: number) => {
        const moved = start.with(index, start[index].map((value, i) => value + step * way[i]));
        return await penalty(tensorsOf(moved)).item();
      };
      const above = await at(SECOND_STEP), below = await at(-SECOND_STEP);
      const predicted = gradients[index]
        .reduce((total, g, i) => total + g * 2 * SECOND_STEP * way[i], 0);
      const allowed = 1e-2 * Math.abs(predicted) + 8 * ROUNDING * above;
      assert.ok(
        Math.abs(above - below - predicted) <= allowed,
        `${name}: differences give ${above - below}, the gradient ${predicted}`,
      );
      if (name !== "bias") assert.ok(Math.abs(predicted) > 20 * ROUNDING * above, `${name} counts`);
    }
  },
);

testOnEach(devices, "training steps do not increase the memory in use", async (device) => {
  const weight = leaf(device, [0.3, -0.2], [2, 1]);
  const sizes: number[] = [];
  for (let step = 0; step < 5; step++) {
    using _step = device.scope();
    const error = square(sub(matmul(device.tensor([1, 2, 3, 4], [2, 2]), weight), 1));
    const [gradient] = backward(mean(error), [weight]);
    withoutGradients(() => assign(weight, sub(weight, mul(gradient, 0.01))));
    await device.synchronize();
    sizes.push(device.liveBytes, device.pooledBytes);
  }
  assert.deepEqual(sizes.slice(4), [
    ...sizes.slice(2, 4),
    ...sizes.slice(2, 4),
    ...sizes.slice(2, 4),
  ]);
});

// ---- composed functions against central differences ---------------------------------------------------------

const COMPOSED: Readonly<Record<string, { shape: Shape; of: (x: Tensor) => Tensor }>> = {
  silu: { shape: [3, 5], of: silu },
  gelu: { shape: [3, 5], of: gelu },
  "softmax over the last axis": { shape: [3, 5], of: (x) => softmax(x) },
  "softmax over the first axis": { shape: [3, 5], of: (x) => softmax(x, 0) },
  "softmax over two axes apart": { shape: [3, 2, 4], of: (x) => softmax(x, [0, 2]) },
  "softmax over all axes": { shape: [3, 4], of: (x) => softmax(x, [0, 1]) },
  "mean over the middle axis": { shape: [3, 2, 4], of: (x) => square(mean(x, 1)) },
  "mean over two axes apart": { shape: [3, 2, 4], of: (x) => square(mean(x, [0, -1])) },
  "logsumexp over all axes": { shape: [3, 4], of: (x) => logsumexp(x) },
  "logsumexp over two axes apart": { shape: [3, 2, 4], of: (x) => logsumexp(x, [0, 2]) },
  "max over two axes apart": { shape: [3, 2, 4], of: (x) => exp(max(x, [0, 2])) },
  "layer normalisation": { shape: [3, 7], of: (x) => layerNormalize(x) },
  "group normalisation": { shape: [2, 3, 3, 6], of: (x) => groupNormalize(x, 3) },
  "a small network": {
    shape: [4, 3],
    of: (x) => sigmoid(matmul(gelu(matmul(x, x, { transposeB: true })), abs(add(x, 3)))),
  },
};

for (const [name, { shape, of }] of Object.entries(COMPOSED)) {
  testOnEach(devices, `the gradient of ${name} agrees with finite differences`, async (device) => {
    const start = draw(shape, `${name} start`), way = draw(shape, `${name} way`);
    const x = parameter(device.tensor(start, shape));
    const y = of(x);
    const weights = draw(y.shape, `${name} weights`);
    const [gradient] = backward(sum(mul(y, device.tensor(weights, y.shape))), [x]);

    const moved = (step: number) => start.map((value, i) => value + step * way[i]);
    const ahead = moved(DIFFERENCE_STEP), behind = moved(-DIFFERENCE_STEP);
    const [above, below] = await Promise.all(
      [ahead, behind].map((values) => of(device.tensor(values, shape)).floats()),
    );
    const changes = (await gradient.floats()).map((g, i) => g * (ahead[i] - behind[i]));
    const predicted = changes.reduce((total, change) => total + change, 0);
    const difference = above.reduce((total, _, i) => total + weights[i] * (above[i] - below[i]), 0);
    const allowed = DIFFERENCES * Math.hypot(...changes) + 2 * ROUNDING * Math.hypot(...above);
    assert.ok(
      Math.abs(difference - predicted) <= allowed,
      `differences give ${difference}, the gradient ${predicted}, ${allowed} allowed`,
    );
  });
}

testOnEach(devices, "a reshaped gradient has its parameter's shape", async (device) => {
  const x = leaf(device, [1, 2, 3, 4], [2, 2]);
  await assertGradients(sum(mul(reshape(x, [4]), device.tensor([1, 2, 3, 4], [4]))), [x], [[
    1,
    2,
    3,
    4,
  ]]);
});
