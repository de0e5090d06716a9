/** The user's functions, of any axes and shapes, against plain loops in float64. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { backward, parameter } from "../../core/execute.ts";
import { full, ones, zeros } from "../../core/functions/creation.ts";
import {
  add,
  cast,
  clamp,
  div,
  equal,
  greater,
  maximum,
  mul,
  neg,
  pow,
  sub,
  where,
} from "../../core/functions/elementwise.ts";
import { gather, scatterAdd, segmentCount, segmentSum } from "../../core/functions/indexing.ts";
import {
  averagePool,
  broadcast,
  concatenate,
  pad,
  reshape,
  slice,
  stack,
  toRows,
  transpose,
  upsampleNearest,
} from "../../core/functions/movement.ts";
import { groupNormalize, layerNormalize } from "../../core/functions/normalization.ts";
import {
  conv2d,
  type ConvOptions,
  convTranspose2d,
  matmul,
} from "../../core/functions/products.ts";
import {
  argmax,
  kthValue,
  logsumexp,
  max,
  mean,
  softmax,
  sum,
} from "../../core/functions/reductions.ts";
import { type Shape, sizeOf, stridesOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

/** The same shapes in every run, few enough for every device. */
const RUNS = { seed: 7, numRuns: 25 };

const length = fc.constantFrom(1, 2, 3, 5, 7);

const put = (device: Device, shape: Shape, purpose: string): Tensor =>
  device.tensor(draw(shape, purpose), shape);

/** The index of every element of a shape, in order. */
function* indicesOf(shape: Shape): Generator<number[]> {
  for (let at = 0; at < sizeOf(shape); at++) {
    yield stridesOf(shape).map((stride, axis) => Math.floor(at / stride) % shape[axis]);
  }
}

const offset = (index: readonly number[], shape: Shape): number =>
  stridesOf(shape).reduce((total, stride, axis) => total + stride * index[axis], 0);

/** The elements that are reduced together, by their place in the result that keeps its axes. */
function groupsOf(x: ArrayLike<number>, shape: Shape, axes: readonly number[]): number[][] {
  const kept = shape.map((count, axis) => axes.includes(axis) ? 1 : count);
  const groups: number[][] = Array.from({ length: sizeOf(kept) }, () => []);
  let at = 0;
  for (const index of indicesOf(shape)) {
    groups[offset(index.map((i, axis) => axes.includes(axis) ? 0 : i), kept)].push(x[at++]);
  }
  return groups;
}

const total = (terms: readonly number[]): number => terms.reduce((sum, term) => sum + term, 0);

const REDUCTIONS = {
  sum: { of: sum, plain: total },
  mean: { of: mean, plain: (terms: readonly number[]) => total(terms) / terms.length },
  max: { of: max, plain: (terms: readonly number[]) => Math.max(...terms) },
  logsumexp: {
    of: logsumexp,
    plain: (terms: readonly number[]) => Math.log(total(terms.map(Math.exp))),
  },
};

const reductionCase = fc.array(length, { maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.subarray(shape.map((_, axis) => axis)),
    fromTheEnd: fc.boolean(),
    keepAxes: fc.boolean(),
  })
);

testOnEach(devices, "reductions over any axes agree with loops", async (device) => {
  const property = fc.asyncProperty(
    reductionCase,
    async ({ shape, axes, fromTheEnd, keepAxes }) => {
      using _scope = device.scope();
      const values = draw(shape, `reduce ${shape}`, -3, 3);
      const x = device.tensor(values, shape);
      const named = fromTheEnd ? axes.map((axis) => axis - shape.length) : axes;
      const groups = groupsOf(values, shape, axes);
      const left = shape.flatMap((count, axis) =>
        axes.includes(axis) ? (keepAxes ? [1] : []) : [count]
      );
      await Promise.all(
        Object.entries(REDUCTIONS).map(async ([name, { of, plain }]) => {
          const result = of(x, named, { keepAxes });
          assert.deepEqual(result.shape, left);
          assertClose(await result.floats(), groups.map(plain), EQUATIONS, name);
        }),
      );
    },
  );
  await fc.assert(property, RUNS);
});

/** Axes whose order is not its own inverse. */
const fourAxes = { shape: [2, 3, 5, 2], axes: [0, 2], fromTheEnd: false, keepAxes: false };

testOnEach(devices, "softmax over any axes sums to 1 over them", async (device) => {
  const property = fc.asyncProperty(reductionCase, async ({ shape, axes }) => {
    using _scope = device.scope();
    const values = draw(shape, `softmax ${shape}`, -3, 3);
    const result = softmax(device.tensor(values, shape), axes);
    assert.deepEqual(result.shape, shape);
    const got = await result.floats();
    const powers = groupsOf(values.map(Math.exp), shape, axes);
    const shares = powers.map((group) => group.map((power) => power / total(group)));
    for (const [index, group] of groupsOf(got, shape, axes).entries()) {
      assertClose(group, shares[index], EQUATIONS, "shares");
    }
  });
  await fc.assert(property, { ...RUNS, examples: [[fourAxes]] });
});

testOnEach(devices, "by default reductions use all axes, softmax the last", async (device) => {
  const x = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  assert.deepEqual(sum(x).shape, []);
  assert.equal(await sum(x).item(), 21);
  assert.equal(await mean(x).item(), 3.5);
  assert.deepEqual(max(x, undefined, { keepAxes: true }).shape, [1, 1]);
  assert.deepEqual([...await sum(softmax(x), -1).floats()].map(Math.round), [1, 1]);
  assert.equal(await sum(device.tensor([7], [])).item(), 7);
});

testOnEach(devices, "logsumexp and softmax stay finite for large values", async (device) => {
  const x = device.tensor([1000, 1000, -1000, -1000], [2, 2]);
  assertClose(await logsumexp(x, 1).floats(), [1000 + Math.LN2, -1000 + Math.LN2], EQUATIONS, "");
  assert.deepEqual([...await softmax(x, [0, 1]).floats()], [0.5, 0.5, 0, 0]);
});

testOnEach(devices, "equal maxima share the gradient evenly at any position", async (device) => {
  // Over axes 0 and 2 the greatest of the only group comes three times, twice in one row.
  const x = parameter(device.tensor([5, 5, 5, 1, 0, 0], [3, 1, 2]));
  const [gradient] = backward(sum(max(x, [0, 2])), [x]);
  assertClose(await gradient.floats(), [1 / 3, 1 / 3, 1 / 3, 0, 0, 0], EQUATIONS, "shares");
});

testOnEach(devices, "argmax and kthValue work along any axis", async (device) => {
  const shape = [3, 5, 2], values = draw(shape, "ranks");
  const x = device.tensor(values, shape);
  for (const axis of [0, 1, 2, -1, -3]) {
    const at = axis < 0 ? axis + 3 : axis;
    const groups = groupsOf(values, shape, [at]);
    const left = shape.filter((_, other) => other !== at);
    const greatest = argmax(x, axis);
    assert.deepEqual(greatest.shape, left);
    const indices = groups.map((group) => group.indexOf(Math.max(...group)));
    assert.deepEqual([...await greatest.integers()], indices);
    const second = kthValue(x, 1, axis);
    assert.deepEqual(second.shape, left);
    const seconds = groups.map((group) => group.toSorted((a, b) => a - b)[1]);
    assert.deepEqual([...await second.floats()], seconds);
  }
  assert.deepEqual([...await argmax(device.tensor([1, 3, 3], [3])).integers()], [1]);
});

testOnEach(devices, "an axis out of range is rejected", (device) => {
  const x = zeros(device, [2, 3]);
  for (
    const run of [() => sum(x, 2), () => softmax(x, -3), () => argmax(x, 5), () => max(x, 0.5)]
  ) {
    assert.throws(run, { name: "RangeError", message: /the axis must be in \[-2, 2\), got/ });
  }
  assert.throws(() => concatenate([x, x], 2), RangeError);
  assert.throws(() => kthValue(x, 3), {
    name: "RangeError",
    message: "Cannot take the k-th value: the rank must be in [0, 3), got 3",
  });
});

// ---- products ------------------------------------------------------------------------------------------------

const matmulCase = fc.record({
  batch: fc.array(fc.constantFrom(1, 2, 3), { maxLength: 2 }),
  batchOn: fc.constantFrom("both", "left", "right"),
  sides: fc.tuple(length, length, length),
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
});

testOnEach(devices, "batched matmul agrees with loops", async (device) => {
  const property = fc.asyncProperty(matmulCase, async (options) => {
    const { batch, batchOn, sides: [rows, depth, columns], transposeA, transposeB } = options;
    using _scope = device.scope();
    const shapeA = transposeA ? [depth, rows] : [rows, depth];
    const shapeB = transposeB ? [columns, depth] : [depth, columns];
    const fullA = batchOn === "right" ? shapeA : [...batch, ...shapeA];
    const fullB = batchOn === "left" ? shapeB : [...batch, ...shapeB];
    const a = draw(fullA, "a"), b = draw(fullB, "b");
    const product = matmul(device.tensor(a, fullA), device.tensor(b, fullB), {
      transposeA,
      transposeB,
    });
    const shape = [...batch, rows, columns];
    assert.deepEqual(product.shape, shape);
    const expected = [...indicesOf([sizeOf(batch), rows, columns])].map(([n, i, j]) =>
      total(
        Array.from({ length: depth }, (_, k) => {
          const atA = offset(transposeA ? [k, i] : [i, k], shapeA);
          const atB = offset(transposeB ? [j, k] : [k, j], shapeB);
          const [ofA, ofB] = [batchOn === "right" ? 0 : n, batchOn === "left" ? 0 : n];
          return a[ofA * rows * depth + atA] * b[ofB * depth * columns + atB];
        }),
      )
    );
    assertClose(await product.floats(), expected, EQUATIONS, JSON.stringify(options));
  });
  await fc.assert(property, RUNS);
});

testOnEach(devices, "matrices with mismatched shapes are rejected", (device) => {
  const multiply = (a: Shape, b: Shape) => () => matmul(zeros(device, a), zeros(device, b));
  assert.throws(multiply([2, 3], [2, 3]), {
    name: "TypeError",
    message:
      "Cannot multiply matrices: the inner axes must agree, and the batches must be equal or 1, " +
      "got [1, 2, 3] and [1, 2, 3]",
  });
  const batches = /the operands need two axes or more and equal batches, got/;
  assert.throws(multiply([2, 1, 3], [3, 3, 1]), batches);
  assert.throws(multiply([3], [3, 1]), batches);
  assert.throws(multiply([1, 3], [3]), batches);
});

interface Window {
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
}

/** conv2d as its definition: loops over the outputs and the taps. */
function plainConv(
  x: Float32Array,
  [batch, height, width, inputs]: Shape,
  w: Float32Array,
  [kernelHeight, kernelWidth, , outputs]: Shape,
  { stride, padding, dilation }: Window,
): { values: number[]; shape: number[] } {
  const count = (size: number, kernel: number, axis: 0 | 1) =>
    Math.floor((size + 2 * padding[axis] - dilation[axis] * (kernel - 1) - 1) / stride[axis]) + 1;
  const shape = [batch, count(height, kernelHeight, 0), count(width, kernelWidth, 1), outputs];
  const values = [...indicesOf(shape)].map(([b, p, q, o]) => {
    let value = 0;
    for (const [i, j, c] of indicesOf([kernelHeight, kernelWidth, inputs])) {
      const h = p * stride[0] - padding[0] + i * dilation[0];
      const v = q * stride[1] - padding[1] + j * dilation[1];
      if (h < 0 || h >= height || v < 0 || v >= width) continue;
      value += x[offset([b, h, v, c], [batch, height, width, inputs])] *
        w[offset([i, j, c, o], [kernelHeight, kernelWidth, inputs, outputs])];
    }
    return value;
  });
  return { values, shape };
}

const pairOf = (...sizes: number[]) =>
  fc.tuple(fc.constantFrom(...sizes), fc.constantFrom(...sizes));

const convCase = fc.record({
  batch: fc.constantFrom(1, 2),
  image: pairOf(7, 8, 9),
  channels: pairOf(1, 3, 4),
  kernel: pairOf(1, 2, 3, 4),
  window: fc.record({ stride: pairOf(1, 2, 3), padding: pairOf(0, 1, 2), dilation: pairOf(1, 2) }),
});

testOnEach(
  devices,
  "convolutions agree with their definition and their adjoint",
  async (device) => {
    const property = fc.asyncProperty(
      convCase,
      async ({ batch, image, channels, kernel, window }) => {
        using _scope = device.scope();
        const imageShape = [batch, ...image, channels[0]], filterShape = [...kernel, ...channels];
        const x = draw(imageShape, "images"), w = draw(filterShape, "filter");
        const filter = device.tensor(w, filterShape);
        const result = conv2d(device.tensor(x, imageShape), filter, window);
        const { values, shape } = plainConv(x, imageShape, w, filterShape, window);
        assert.deepEqual(result.shape, shape);
        assertClose(await result.floats(), values, EQUATIONS, JSON.stringify(window));

        // ⟨conv x, y⟩ = ⟨x, convTranspose y⟩, with the output padding that the stride cut off
        const y = draw(shape, "outputs");
        const outputPadding = ([0, 1] as const).map((axis) => {
          const cut = image[axis] + 2 * window.padding[axis] -
            window.dilation[axis] * (kernel[axis] - 1) - 1;
          return cut % window.stride[axis];
        }) as [number, number];
        const back = convTranspose2d(device.tensor(y, shape), filter, { ...window, outputPadding });
        assert.deepEqual(back.shape, imageShape);
        const left = total(values.map((value, i) => value * y[i]));
        const right = total([...await back.floats()].map((value, i) => value * x[i]));
        const scale = Math.hypot(...values) * Math.hypot(...y);
        assert.ok(Math.abs(left - right) <= EQUATIONS * scale, `${left} and ${right}`);
      },
    );
    await fc.assert(property, RUNS);
  },
);

testOnEach(
  devices,
  "a convolution accepts single numbers for pairs, a bias and relu",
  async (device) => {
    const x = put(device, [2, 6, 6, 3], "images"), w = put(device, [3, 3, 3, 4], "filter");
    const b = put(device, [4], "bias");
    const read = (options: ConvOptions) => conv2d(x, w, options).floats();
    assert.deepEqual(
      await read({ stride: 2, padding: 1, dilation: 1 }),
      await read({ stride: [2, 2], padding: [1, 1], dilation: [1, 1] }),
    );
    assert.deepEqual(
      await read({}),
      await read({ stride: 1, padding: 0, dilation: 1, relu: false }),
    );
    const [plain, shifted, rectified] = [
      await read({}),
      await read({ bias: b }),
      await read({ bias: b, relu: true }),
    ];
    const bias = await b.floats();
    assertClose(shifted, plain.map((value, i) => value + bias[i % 4]), EQUATIONS, "bias");
    assertClose(rectified, shifted.map((value) => Math.max(value, 0)), EQUATIONS, "relu");

    const up = convTranspose2d(put(device, [1, 3, 3, 4], "low"), w, {
      stride: 2,
      relu: true,
      bias: put(device, [3], "b"),
    });
    assert.deepEqual(up.shape, [1, 7, 7, 3]);
    assert.ok((await up.floats()).every((value) => value >= 0));
    assert.throws(() => conv2d(x, put(device, [3, 3, 2, 4], "narrow")), TypeError);
    assert.throws(() => conv2d(x, put(device, [7, 7, 3, 4], "large")), {
      name: "TypeError",
      message: /the padded images must be at least as large as the kernel/,
    });
    assert.throws(() => conv2d(x, w, { bias: put(device, [3], "short") }), TypeError);
    assert.throws(() => conv2d(x, w, { stride: 0 }), RangeError);
    assert.throws(() => conv2d(x, w, { padding: -1 }), RangeError);
    assert.throws(() => conv2d(x, w, { dilation: 1.5 }), RangeError);
  },
);

// ---- moving data ---------------------------------------------------------------------------------------------

testOnEach(devices, "slicing undoes concatenation", async (device) => {
  const arbitrary = fc.array(length, { minLength: 1, maxLength: 4 }).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axis: fc.nat(shape.length - 1),
      others: fc.array(length, { maxLength: 3 }),
      dtype: fc.constantFrom("float32" as const, "int32" as const),
    })
  );
  const property = fc.asyncProperty(arbitrary, async ({ shape, axis, others, dtype }) => {
    using _scope = device.scope();
    const parts = [shape[axis], ...others].map((count, part) => {
      const own = shape.map((length, at) => at === axis ? count : length);
      return cast(device.tensor(draw(own, `part ${part}`, -9, 9), own), dtype);
    });
    const whole = concatenate([parts[0], ...parts.slice(1)], axis - shape.length);
    assert.equal(whole.dtype, dtype);
    assert.equal(whole.shape[axis], shape[axis] + total(others));
    let start = 0;
    for (const part of parts) {
      const starts = shape.map((_, at) => at === axis ? start : 0);
      const again = cast(slice(whole, starts, part.shape), "float32");
      assert.deepEqual(await again.floats(), await cast(part, "float32").floats());
      start += part.shape[axis];
    }
  });
  await fc.assert(property, { ...RUNS, numRuns: 12 });
});

testOnEach(devices, "stack joins along a new first axis", async (device) => {
  const stacked = stack([device.tensor([1, 2], [2]), device.tensor([3, 4], [2])]);
  assert.deepEqual(stacked.shape, [2, 2]);
  assert.deepEqual([...await stacked.floats()], [1, 2, 3, 4]);
  const scalars = stack([device.tensor([5], []), device.tensor([6], [])]);
  assert.deepEqual([scalars.shape, [...await scalars.floats()]], [[2], [5, 6]]);
  assert.throws(() => stack([zeros(device, [2]), zeros(device, [3])]), TypeError);
  assert.throws(() => concatenate([zeros(device, [2]), zeros(device, [2], "int32")]), TypeError);
});

testOnEach(
  devices,
  "transposing moves elements, and the inverse moves them back",
  async (device) => {
    const arbitrary = fc.array(length, { minLength: 1, maxLength: 4 }).chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        permutation: fc.shuffledSubarray(shape.map((_, axis) => axis), { minLength: shape.length }),
      })
    );
    const property = fc.asyncProperty(arbitrary, async ({ shape, permutation }) => {
      using _scope = device.scope();
      const values = draw(shape, `transpose ${shape}`);
      const moved = transpose(device.tensor(values, shape), permutation);
      assert.deepEqual(moved.shape, permutation.map((axis) => shape[axis]));
      const expected = [...indicesOf(moved.shape)].map((index) => {
        const source = shape.map((_, axis) => index[permutation.indexOf(axis)]);
        return values[offset(source, shape)];
      });
      assert.deepEqual([...await moved.floats()], expected);
      const back = transpose(moved, shape.map((_, axis) => permutation.indexOf(axis)));
      assert.deepEqual(await back.floats(), values);
    });
    await fc.assert(property, RUNS);
    assert.deepEqual(transpose(zeros(device, [2, 3, 5])).shape, [5, 3, 2]);
    assert.throws(() => transpose(zeros(device, [2, 3]), [0, 0]), TypeError);
  },
);

testOnEach(devices, "padding surrounds a tensor, and slicing removes it", async (device) => {
  const values = draw([2, 3], "pad"), x = device.tensor(values, [2, 3]);
  const padded = pad(x, [1, 0], [0, 2], 7);
  assert.deepEqual(padded.shape, [3, 5]);
  const expected = [...indicesOf([3, 5])].map(([i, j]) =>
    i < 1 || j > 2 ? 7 : values[(i - 1) * 3 + j]
  );
  assert.deepEqual([...await padded.floats()], expected);
  assert.deepEqual(await slice(padded, [1, 0], [2, 3]).floats(), values);
  assert.throws(() => slice(x, [1, 0], [2, 3]), RangeError);
  assert.throws(() => slice(x, [0], [2]), RangeError);
  assert.throws(() => pad(x, [-1, 0], [0, 0]), RangeError);
});

testOnEach(devices, "reshape infers the length of one axis", async (device) => {
  const x = put(device, [2, 3, 4], "reshape");
  assert.deepEqual(reshape(x, [-1, 4]).shape, [6, 4]);
  assert.deepEqual(reshape(x, [24]).shape, [24]);
  assert.deepEqual(await reshape(reshape(x, [4, 6]), [2, 3, 4]).floats(), await x.floats());
  assert.throws(() => reshape(x, [5, 5]), {
    name: "TypeError",
    message: "Cannot reshape: the new shape must hold 24 elements, got [2, 3, 4] to [5, 5]",
  });
  assert.throws(() => reshape(x, [5, -1]), RangeError);
  assert.throws(() => reshape(x, [-1, 0]), RangeError);
});

testOnEach(devices, "broadcasting aligns the last axes", async (device) => {
  const x = device.tensor([1, 2], [2, 1]);
  assert.deepEqual([...await broadcast(x, [2, 2, 3]).floats()], [
    1,
    1,
    1,
    2,
    2,
    2,
    1,
    1,
    1,
    2,
    2,
    2,
  ]);
  assert.throws(() => broadcast(x, [3, 3]), TypeError);
  assert.throws(() => broadcast(x, [1]), TypeError);
});

testOnEach(
  devices,
  "upsampling repeats pixels, and average pooling undoes it",
  async (device) => {
    const values = draw([2, 3, 2, 3], "pixels"), x = device.tensor(values, [2, 3, 2, 3]);
    const large = upsampleNearest(x, [2, 3]);
    assert.deepEqual(large.shape, [2, 6, 6, 3]);
    const expected = [...indicesOf(large.shape)].map(([b, h, w, c]) =>
      values[offset([b, Math.floor(h / 2), Math.floor(w / 3), c], x.shape)]
    );
    assert.deepEqual([...await large.floats()], expected);
    assertClose(await averagePool(large, [2, 3]).floats(), values, EQUATIONS, "averages");
    const overlapping = averagePool(device.tensor([1, 2, 3], [1, 1, 3, 1]), [1, 2], {
      stride: 1,
      padding: [0, 1],
    });
    assert.deepEqual([...await overlapping.floats()], [0.5, 1.5, 2.5, 1.5]);
    assert.throws(() => averagePool(x, 4), TypeError);
  },
);

testOnEach(devices, "rows are gathered, summed and counted by index", async (device) => {
  const table = draw([5, 3], "table"), updates = draw([2, 4, 3], "updates");
  const chosen = [4, 0, 0, 2, 4, 4, 1, 0];
  const indices = device.tensor(Int32Array.from(chosen), [2, 4]);
  const rows = gather(device.tensor(table, [5, 3]), indices);
  assert.deepEqual(rows.shape, [2, 4, 3]);
  assert.deepEqual(
    [...await rows.floats()],
    chosen.flatMap((row) => [...table.slice(row * 3, row * 3 + 3)]),
  );

  const sums = Array.from(
    { length: 5 * 3 },
    (_, at) =>
      total(chosen.map((row, n) => row === Math.floor(at / 3) ? updates[n * 3 + at % 3] : 0)),
  );
  const values = device.tensor(updates, [2, 4, 3]);
  assertClose(await segmentSum(values, indices, 5).floats(), sums, EQUATIONS, "sums");
  assert.deepEqual([...await segmentCount(indices, 5).integers()], [3, 1, 1, 0, 3]);
  const scattered = scatterAdd(device.tensor(table, [5, 3]), indices, values);
  assertClose(
    await scattered.floats(),
    sums.map((sum, at) => table[at] + sum),
    EQUATIONS,
    "scattered",
  );
});

testOnEach(devices, "rows and indices of different lengths are rejected", (device) => {
  const indices = zeros(device, [8], "int32");
  assert.throws(() => segmentSum(zeros(device, [4, 6]), indices, 3), {
    name: "TypeError",
    message: "Cannot sum by segment: each row of the values needs one index, " +
      "got values [4, 6] and indices [8]",
  });
  assert.throws(() => segmentSum(zeros(device, [8]), indices, 3), TypeError);
  assert.throws(() => scatterAdd(zeros(device, [5, 3]), indices, zeros(device, [8, 1])), {
    name: "TypeError",
    message:
      "Cannot scatter: the table must be [rows, D] and the updates [..., D], got [5, 3] and [8, 1]",
  });
  assert.throws(() => scatterAdd(zeros(device, [5, 1]), indices, zeros(device, [8, 3])), TypeError);
  assert.throws(() => gather(zeros(device, [5]), indices), TypeError);
  assert.throws(() => gather(zeros(device, [5, 2]), zeros(device, [8])), TypeError);
  assert.throws(() => toRows(zeros(device, [8, 32]), 64, "quantize"), {
    name: "TypeError",
    message: "Cannot quantize: the last axis must be 64, got shape [8, 32]",
  });
  assert.throws(() => toRows(zeros(device, []), 1, "quantize"), TypeError);
});

// ---- elementwise and normalisation ---------------------------------------------------------------------------

testOnEach(devices, "numbers are accepted as operands, in the tensor's dtype", async (device) => {
  const x = device.tensor([1, -2], [2]), n = device.tensor(Int32Array.of(5, -7), [2]);
  const floats: readonly [Tensor, readonly number[]][] = [
    [add(x, 2), [3, 0]],
    [add(2, x), [3, 0]],
    [sub(x, 2), [-1, -4]],
    [sub(2, x), [1, 4]],
    [mul(3, x), [3, -6]],
    [div(x, 4), [0.25, -0.5]],
    [div(4, x), [4, -2]],
    [pow(x, 2), [1, 4]],
    [maximum(0, x), [1, 0]],
    [neg(x), [-1, 2]],
    [clamp(x, -1, 0.5), [0.5, -1]],
    [where(greater(x, 0), x, 9), [1, 9]],
    [where(equal(n, 5), 1, 0), [1, 0]],
  ];
  for (const [result, expected] of floats) assert.deepEqual([...await result.floats()], expected);
  const integers: readonly [Tensor, readonly number[]][] = [
    [add(n, 2), [7, -5]],
    [sub(2, n), [-3, 9]],
    [mul(n, 3), [15, -21]],
    [greater(n, 0), [1, 0]],
    [where(greater(x, 0), n, 0), [5, 0]],
  ];
  for (const [result, expected] of integers) {
    assert.deepEqual([...await result.integers()], expected);
  }
  assert.throws(() => add(1, 2), {
    name: "TypeError",
    message: "Cannot add: one operand must be a tensor, got two numbers",
  });
  assert.throws(() => add(x, n), TypeError);
  assert.throws(() => clamp(x, 1, 0), RangeError);
});

testOnEach(devices, "tensors can be filled with one value", async (device) => {
  assert.deepEqual([...await full(device, [2], 2.5).floats()], [2.5, 2.5]);
  assert.deepEqual([...await ones(device, [1, 2], "int32").integers()], [1, 1]);
  assert.throws(() => zeros(device, [0]), RangeError);
});

testOnEach(devices, "normalisation gives each group mean 0 and variance 1", async (device) => {
  const shape = [2, 3, 2, 6], values = draw(shape, "normalise", 2, 5);
  const x = device.tensor(values, shape);
  const normal = (group: readonly number[]) => {
    const centre = total(group) / group.length;
    const variance = total(group.map((value) => (value - centre) ** 2)) / group.length;
    return group.map((value) => (value - centre) / Math.sqrt(variance + 1e-5));
  };
  const byGroup = groupsOf(values, [2, 6, 3, 2], [1, 3]).map(normal);
  const grouped = groupsOf(await groupNormalize(x, 3).floats(), [2, 6, 3, 2], [1, 3]);
  assertClose(grouped.flat(), byGroup.flat(), CANCELLING, "groups of channels");
  const byRow = groupsOf(values, shape, [3]).map(normal);
  assertClose(await layerNormalize(x).floats(), byRow.flat(), CANCELLING, "the last axis");
  assert.throws(() => groupNormalize(x, 4), RangeError);
  assert.throws(() => groupNormalize(zeros(device, [3]), 1), TypeError);
});
