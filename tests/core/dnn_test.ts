/** What the device cpu computes by the system's oneDNN. That it trains the same on any number of threads is in
 * `cpu_test.ts`. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { View } from "../../core/backend.ts";
import { cut, MOST_PIECES } from "../../core/cpu/dnn/pieces.ts";
import type { Direction } from "../../core/cpu/dnn/primitives.ts";
import { DnnConvolutions } from "../../core/cpu/kernels/dnn_convolutions.ts";
import { type CpuBuffer, CpuMemory } from "../../core/cpu/memory.ts";
import { startMachine } from "../../core/cpu/threads.ts";
import { openDevice } from "../../core/device.ts";
import { conv2d, convTranspose2d } from "../../core/functions/products.ts";
import type { Attributes } from "../../core/ops.ts";
import { randomKey } from "../../core/random.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import type { Device } from "../../core/tensor.ts";
import { findTestDnn } from "../helpers.ts";
import { checkForward, checkGradients, forward, type Row } from "./check_operation.ts";
import { convolutionRows, geometry, operationCases } from "./operation_cases.ts";
import { uniform } from "./operands.ts";

const BY_DNN = ["conv2d", "convTranspose2d", "conv2dFilter"] as const;
type Rows = { readonly [N in typeof BY_DNN[number]]: readonly Row<Attributes[N]>[] };

/** Convolutions that are cut into several pieces. */
const GEOMETRIES = [
  geometry("several images a piece", [37, 8, 8, 16], [3, 3], 32, { padding: [1, 1] }),
  geometry("more images than pieces", [45, 12, 12, 32], [4, 4], 24, {
    stride: [2, 2],
    padding: [1, 1],
  }),
  geometry("bands of rows", [1, 67, 40, 16], [3, 3], 32, { padding: [1, 1] }),
  geometry("bands of two images, stride 2", [2, 96, 33, 16], [4, 4], 40, {
    stride: [2, 2],
    padding: [1, 0],
  }),
  geometry("bands, rows left over", [1, 66, 65, 40], [3, 3], 64, { stride: [2, 3] }),
  geometry("bands, dilated", [1, 60, 31, 16], [3, 2], 48, {
    padding: [2, 3],
    dilation: [3, 2],
  }),
  geometry("bands, padding beyond the kernel", [1, 60, 32, 16], [3, 3], 48, { padding: [4, 4] }),
  geometry("a filter of several tasks", [2, 6, 6, 64], [3, 3], 200, { padding: [1, 1] }),
];

const CUT: Rows = convolutionRows(GEOMETRIES);

/** The same with a bias of the results and the positive kept. */
const ENDED: Rows = {
  conv2d: CUT.conv2d.map((row) => ({
    about: `${row.about}, biased, relu`,
    operands: [...row.operands, uniform([row.operands[1].shape[3]])],
    attributes: { ...row.attributes, relu: true },
  })),
  convTranspose2d: CUT.convTranspose2d.map((row) => ({
    about: `${row.about}, biased, relu`,
    operands: [...row.operands, uniform([row.operands[1].shape[2]])],
    attributes: { ...row.attributes, relu: true },
  })),
  conv2dFilter: [],
};

const dnn = await findTestDnn();

if (dnn !== undefined) {
  const open = (threads?: number) => openDevice("cpu", { threads, blas: "off" });
  const reference = await openDevice("reference");
  const device = await open();
  Deno.test.afterAll(() => {
    reference.close();
    device.close();
  });

  const check = <N extends typeof BY_DNN[number]>(name: N): void => {
    const usual: readonly Row<Attributes[N]>[] = operationCases[name];
    const pieces: readonly Row<Attributes[N]>[] = CUT[name];
    const ended: readonly Row<Attributes[N]>[] = ENDED[name];
    Deno.test(`${name} with oneDNN agrees with the reference, forward and backward`, async () => {
      for (const row of [...usual, ...pieces]) {
        await checkForward(reference, device, name, row);
        await checkGradients(reference, device, name, row);
      }
      for (const row of ended) await checkForward(reference, device, name, row);
    });
    Deno.test(`${name} gives the same bits on any number of threads`, async () => {
      using one = await open(1);
      using five = await open(5);
      for (const row of [...pieces, ...ended]) {
        const [expected, got] = [await forward(one, name, row), await forward(five, name, row)];
        assert.deepEqual(got, expected, row.about);
      }
    });
  };
  BY_DNN.forEach(check);

  Deno.test("oneDNN computes every convolution of the small model at several batch sizes, and no other kernel runs", async () => {
    const memory = new CpuMemory();
    const machine = await startMachine(memory, 1, { dnn });
    const convolutions = new DnnConvolutions(machine, dnn);
    const never = () => assert.fail("another kernel was called");
    const kernels = convolutions.kernels({
      matmul: never,
      conv2d: never,
      convTranspose2d: never,
      conv2dFilter: never,
    });
    const view = (shape: Shape): View<CpuBuffer> => ({
      buffer: memory.allocate(4 * sizeOf(shape)),
      shape,
      dtype: "float32",
    });
    for (const batch of [1, 5, 128]) {
      const layers = [
        geometry("", [batch, 14, 14, 64], [4, 4], 128, { stride: [2, 2], padding: [1, 1] }),
        geometry("", [batch, 7, 7, 128], [3, 3], 32, { padding: [1, 1] }),
        geometry("", [batch, 7, 7, 32], [1, 1], 128),
      ];
      const rows = convolutionRows(layers);
      for (const { operands: [x, w], attributes } of rows.conv2d) {
        const y = view([batch, 7, 7, w.shape[3]]), bias = view([w.shape[3]]);
        kernels.conv2d([view(x.shape), view(w.shape), bias], [y], { ...attributes, relu: true });
        const transposed = { ...attributes, outputSize: [x.shape[1], x.shape[2]] as const };
        kernels.convTranspose2d([y, view(w.shape)], [view(x.shape)], transposed);
        const kernelSize = [w.shape[0], w.shape[1]] as const;
        kernels.conv2dFilter([view(x.shape), y], [view(w.shape)], { ...attributes, kernelSize });
      }
    }
    convolutions.close();
    machine.close();
  });

  Deno.test("a device's description names its oneDNN, if it has one", async () => {
    using off = await openDevice("cpu", { blas: "off", dnn: "off" });
    using named = await openDevice("cpu", { blas: "off", dnn: dnn.path });
    assert.ok(device.description.endsWith(`, convolutions by ${dnn.description}`));
    assert.equal(named.description, device.description);
    assert.doesNotMatch(off.description, /convolutions/);
  });

  Deno.test("a oneDNN convolution does not depend on the previous contents of its memory", async () => {
    using _scope = device.scope();
    {
      using _before = device.scope();
      device.tensor(new Float32Array(3_000_000).fill(NaN), [3_000_000]);
    }
    const draw = (shape: number[]) => device.tensor(uniform(shape).values(randomKey(1, "")), shape);
    const padding = [1, 1] as const;
    const results = [
      conv2d(draw([40, 8, 8, 30]), draw([3, 3, 30, 33]), { padding }),
      convTranspose2d(draw([40, 8, 8, 33]), draw([3, 3, 30, 33]), { padding }),
    ];
    for (const result of results) assert.ok((await result.floats()).every(Number.isFinite));
  });

  Deno.test("more shapes than the cache holds are computed correctly, twice", async () => {
    using _scope = device.scope();
    const w = device.tensor(new Float32Array(9).fill(1), [3, 3, 1, 1]);
    const sums = async (width: number) => {
      using _call = device.scope();
      const x = device.tensor(new Float32Array(3 * width).fill(1), [1, 3, width, 1]);
      return [...await conv2d(x, w).floats()];
    };
    for (let width = 3; width < 300; width++) {
      assert.deepEqual(await sums(width), new Array(width - 2).fill(9));
    }
    assert.deepEqual(await sums(3), [9]);
  });
}

Deno.test("the pieces of a convolution cover the output exactly once, and each includes all its inputs", () => {
  const mostPieces = { forward: 0, images: 0, filter: 0 };
  for (const { about, images: x, filter, window } of GEOMETRIES) {
    const name = (direction: Direction) => `${direction}, ${about}`;
    const [row] = convolutionRows([geometry(about, x, [filter[0], filter[1]], filter[3], window)])
      .conv2dFilter;
    const y = row.operands[1].shape, { stride, padding, dilation } = window;
    for (const direction of ["forward", "images", "filter"] as const) {
      const pieces = cut(direction, { x, w: filter, y, ...window });
      mostPieces[direction] = Math.max(mostPieces[direction], pieces.length);
      if (direction !== "filter" && !about.startsWith("a filter")) {
        assert.ok(pieces.length > 1, name(direction));
      }
      assert.ok(pieces.length <= MOST_PIECES, name(direction));
      const rows = direction === "images" ? x[1] : y[1];
      const times = new Int32Array(x[0] * rows);
      for (const piece of pieces) {
        const { first, last } = direction === "images" ? piece.x : piece.y;
        for (let image = piece.image; image < piece.image + piece.images; image++) {
          for (let at = first; at < last; at++) times[image * rows + at]++;
        }
        // Every tap of a row of the piece is on its other rows, or on none.
        for (let at = 0; at < y[1]; at++) {
          for (let tap = 0; tap < filter[0]; tap++) {
            const from = at * stride[0] - padding[0] + tap * dilation[0];
            if (from < 0 || from >= x[1]) continue;
            const inX = from >= piece.x.first && from < piece.x.last;
            const inY = at >= piece.y.first && at < piece.y.last;
            assert.ok(direction === "images" ? inY || !inX : inX || !inY, name(direction));
          }
        }
      }
      assert.ok(times.every((count) => count === 1), name(direction));
    }
  }
  assert.ok(mostPieces.filter > 1);
});

const refused = (path: string): Promise<void> =>
  assert.rejects(openDevice("cpu", { dnn: path }), (error: Error) => {
    const start =
      `Cannot use a oneDNN: it must be auto, off or a library that can be loaded and is oneDNN 2 with OpenMP or ` +
      `without threads, got ${path} (`;
    return error instanceof RangeError && error.message.startsWith(start);
  });

Deno.test("a path from which no oneDNN can be loaded is rejected", async () => {
  await refused("/nonexistent.so");
  await refused("libm.so.6");
  await refused(fileURLToPath(import.meta.url));
});

Deno.test({
  name: "without FFI permission, auto uses no oneDNN and a path is rejected",
  permissions: { ffi: false, read: true, sys: true },
  async fn() {
    using device: Device = await openDevice("cpu");
    assert.doesNotMatch(device.description, /convolutions/);
    await refused("libdnnl.so.2.0");
  },
});
