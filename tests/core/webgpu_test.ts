/** What is particular to the webgpu device: its queue, its limits, its messages, and the tilings of real GPUs. */
import assert from "node:assert/strict";
import type { Backend, HostArray, View } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import { execute } from "../../core/execute.ts";
import { matmul } from "../../core/functions/products.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { randomKey } from "../../core/random.ts";
import { type DType, type Shape, sizeOf } from "../../core/shape.ts";
import { Device, type Tensor } from "../../core/tensor.ts";
import { type OpenedGpu, openGpu } from "../../core/webgpu/adapter.ts";
import { WebGpuBackend, type WebGpuOptions } from "../../core/webgpu/backend.ts";
import type { ComputeShader } from "../../core/webgpu/launch.ts";
import { CommandQueue } from "../../core/webgpu/queue.ts";
import { tilingName, tilingsFor } from "../../core/webgpu/tilings.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Adam } from "../../nn/optimizers.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { trainingStep } from "../../objectives/training_step.ts";
import { openTestDevices } from "../helpers.ts";
import { EXACT } from "./agreement.ts";
import { checkForward, type Row } from "./check_operation.ts";
import { operationCases } from "./operation_cases.ts";
import { integers, type Operand, uniform } from "./operands.ts";

const [reference, ...others] = await openTestDevices();
const webgpu = others.find(({ name }) => name === "webgpu");
if (webgpu?.description.includes(", no subgroups")) {
  console.log(`MISSING subgroups on ${webgpu.description}, shaders that use them are not tested`);
}

/** Registers a test, where there is a webgpu device. */
function test(name: string, body: (device: Device) => void | Promise<void>): void {
  if (webgpu !== undefined) Deno.test(name, () => body(webgpu));
}

/** A device of its own, and the GPU device underneath. */
async function openOwn(
  options: WebGpuOptions = {},
): Promise<{ readonly device: Device; readonly gpu: GPUDevice }> {
  const opened = await openGpu();
  const backend: unknown = new WebGpuBackend(opened, options);
  return { device: new Device(backend as Backend), gpu: opened.device };
}

/** x·scale + shift */
function affine(x: Tensor, scale: number, shift: number): Tensor {
  return execute(x.device, "affine", [x], { scale, shift })[0];
}

function shader(body: string): () => ComputeShader {
  return () => ({
    inputs: [],
    outputs: ["out: f32"],
    numbers: ["value: f32"],
    workgroupSize: 1,
    body,
  });
}

test("a shader that does not compile is reported with line numbers, every time", async () => {
  const { device: gpu, report } = await openGpu();
  const [tiling] = tilingsFor(report.isSoftware, report.limits);
  const queue = new CommandQueue(gpu, report.limits, {
    isSoftware: report.isSoftware,
    tilings: { matmul: tiling, convolution: tiling },
    precision: "float32",
    subgroups: undefined,
  });
  const buffer = queue.memory.allocate(16);
  queue.launch({
    key: "broken",
    shader: shader("  out[0] = nothing_of_that_name;"),
    inputs: [],
    outputs: [buffer],
    numbers: [0],
    workgroups: 1,
  });
  const message = /Cannot compile the shader broken: .*nothing_of_that_name.*\n +1 \| @group\(0\)/s;
  await assert.rejects(queue.read(buffer, 16), message);
  await assert.rejects(queue.read(buffer, 16), message);
  await assert.rejects(queue.synchronize(), message);
  queue.close();
});

test("an error for a lost device gives advice, and the device can be closed", async () => {
  const { device, gpu } = await openOwn();
  const x = device.tensor([1, 2], [2]);
  gpu.destroy();
  const message = /Cannot run on webgpu: the GPU device was lost \(.*\); .*--resume/;
  await assert.rejects(x.floats(), message);
  await assert.rejects(device.synchronize(), message);
  assert.throws(() => affine(x, 2, 1), message);
  device.close();
  device.close();
});

test("closing a device during a read makes the read fail with a message", async () => {
  const { device } = await openOwn();
  const reading = device.tensor([1, 2], [2]).floats();
  device.close();
  await assert.rejects(reading, /Cannot run on webgpu: the device was closed/);
});

test("a tensor larger than the binding limit is rejected with the limit", async (device) => {
  const { report: { limits }, device: gpu } = await openGpu();
  gpu.destroy();
  const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const before = device.liveBytes;
  assert.throws(() => device.empty([most / 4 + 1]), {
    name: "RangeError",
    message: new RegExp(`^Cannot allocate GPU memory: .* at most ${most} bytes .*, got \\d+$`),
  });
  assert.equal(device.liveBytes, before);
});

test("more than 65,535 workgroups reach every element", async () => {
  const { device } = await openOwn();
  const length = 65_535 * 64 * 4 + 5;
  const x = device.tensor(new Float32Array(length).map((_, at) => at % 1009), [length]);
  const y = await affine(x, 2, 1).floats();
  assert.equal(y.findIndex((value, at) => value !== 2 * (at % 1009) + 1), -1);
  device.close();
});

test("debug mode names the kernel that the GPU rejected", async () => {
  const { device } = await openOwn({ debug: true });
  const x = device.tensor([1, 2, 3], [3]), y = device.tensor([1, 2, 3], [3]);
  const sum = execute(device, "add", [x, y], {})[0];
  device.backend.free(y.buffer);
  execute(device, "mul", [x, y], {});
  await assert.rejects(
    sum.floats(),
    /Cannot run mul on float32 \[3\], float32 \[3\] to float32 \[3\]: the GPU refused it: /,
  );
  device.close();
});

test("after a rejected call every later read fails", async () => {
  const { device } = await openOwn();
  const x = device.tensor([1, 2, 3], [3]), y = device.tensor([1, 2, 3], [3]);
  device.backend.free(y.buffer);
  const product = execute(device, "mul", [x, y], {})[0];
  const message = /Cannot run on webgpu: the GPU rejected a call: /;
  await assert.rejects(product.floats(), message);
  await assert.rejects(x.floats(), message);
  device.close();
});

test("launches without reads in between keep their order and their parameters", async (device) => {
  using _scope = device.scope();
  let x = device.tensor([0], [1]);
  for (let i = 0; i < 1300; i++) x = affine(x, 1, i);
  assert.equal(await x.item(), 1299 * 1300 / 2);
});

test("a buffer freed before its launches are submitted stays valid for them", async (device) => {
  using _scope = device.scope();
  const { backend } = device;
  const source = device.tensor([5, 6, 7], [3]);
  const view: View = { shape: [3], dtype: "float32", buffer: backend.allocate(12) };
  const target = device.empty([3]);
  backend.kernels.copy([source], [view], {});
  backend.kernels.copy([view], [target], {});
  backend.free(view.buffer);
  assert.deepEqual([...await target.floats()], [5, 6, 7]);
});

test("two devices can be used at the same time", async (device) => {
  using other = await openDevice("webgpu");
  using _scope = device.scope();
  const values = uniform([33, 33]).values(randomKey(1, "side by side"));
  const products = [device, other].map((each) => {
    const x = each.tensor(values, [33, 33]);
    return matmul(x, x).floats();
  });
  const [one, two] = await Promise.all(products);
  assert.deepEqual(one, two);
});

const hostOf = (tensor: Tensor): Promise<HostArray> =>
  tensor.dtype === "float32" ? tensor.floats() : tensor.integers();

/** A row of the table by what it is about. */
function rowOf<N extends OperationName>(name: N, about: string): Row<Attributes[N]> {
  const row = operationCases[name].find((each) => each.about === about);
  assert.ok(row, `${name} must have the case ${about}`);
  return row;
}

/** Some value at every place. */
function filled(shape: Shape, value: (at: number) => number, dtype: DType = "float32"): Operand {
  const type = dtype === "float32" ? Float32Array : Int32Array;
  return { shape, dtype, values: () => new type(sizeOf(shape)).map((_, at) => value(at)) };
}

/** Registers a test of more work than llvmpipe lets the loops of a thread do. */
function testLong<N extends OperationName>(name: N, row: Row<Attributes[N]>): void {
  test(
    `${name} computes all of ${row.about}`,
    (device) => checkForward(reference, device, name, row),
  );
}

testLong("segmentSum", {
  about: "70,000 rows of one segment",
  operands: [filled([70_000, 1], () => 1), filled([70_000], () => 2, "int32")],
  attributes: { segments: 3 },
  tolerance: EXACT,
});
testLong("segmentSum", {
  about: "a million rows of many segments",
  operands: [filled([1_050_000, 1], () => 1), integers([1_050_000], 0, 2 ** 18 - 1)],
  attributes: { segments: 2 ** 18 },
  tolerance: EXACT,
});
testLong("nearest", {
  about: "many long keys that are all equal",
  operands: [uniform([8, 512]), filled([128, 512], () => 0.5)],
  attributes: { distance: "l2" },
});
testLong("matmul", {
  about: "a sum of 300,000 products",
  operands: [uniform([1, 2, 300_000]), uniform([1, 300_000, 3])],
  attributes: { transposeA: false, transposeB: false },
});
testLong("normalize", {
  about: "a group of four million",
  operands: [filled([1, 4_300_000, 1], (at) => (at < 4_250_000 ? 1 : 10) * (-1) ** at)],
  attributes: { groups: 1, epsilon: 1e-5 },
});

test("work that cannot be split is rejected on a software adapter instead of giving a wrong result", async () => {
  const { device } = await openOwn({ software: true });
  function refuses<N extends OperationName>(
    name: N,
    shapes: readonly Shape[],
    attributes: Attributes[N],
    turns: number,
  ): void {
    using _scope = device.scope();
    assert.throws(
      () => execute(device, name, shapes.map((shape) => device.empty(shape)), attributes),
      {
        name: "RangeError",
        message:
          `Cannot run ${name} on a software adapter: the loops of a thread must run at most 65000 iterations, ` +
          `got ${turns}; the device cpu has no such limit`,
      },
    );
  }
  const geometry = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], relu: false } as const;
  const image = [1, 256, 256, 1],
    window = { size: [256, 256], stride: [1, 1], padding: [0, 0] } as const;
  refuses("conv2d", [image, [256, 256, 1, 1]], geometry, 65_536);
  refuses("averagePool", [image], window, 256 * 258);
  refuses("maxPool", [image], window, 256 * 258);
  const narrow = [1, 65_000, 1, 4], wide = [1, 22_400, 1, 65];
  const about = { causal: false, scale: 1 };
  refuses("attention", [[1, 1, 1, 4], narrow, narrow], about, 65_001 + 2 * 2);
  refuses("attention", [[1, 1, 1, 65], wide, wide], about, 700 * (2 * 5 * 24 + 49));
  refuses("kthValue", [[1, 1_100_000, 1]], { rank: 7 }, 4 * (17_188 + 263));
  device.close();
});

test("repeating an operation gives the same bits", async (device) => {
  using gpu = (await openOwn({ software: false })).device;
  async function twice<N extends OperationName>(
    name: N,
    about: string,
    on: Device = device,
  ): Promise<void> {
    using _scope = on.scope();
    const row = rowOf(name, about);
    const inputs = row.operands.map((operand, at) =>
      on.tensor(operand.values(randomKey(at, "twice")), operand.shape)
    );
    const results = [0, 1].map(() => hostOf(execute(on, name, inputs, row.attributes)[0]));
    const [one, two] = await Promise.all(results);
    assert.deepEqual(new Uint32Array(one.buffer), new Uint32Array(two.buffer), name);
  }
  for (const each of [device, gpu]) {
    await twice("sum", "one long line", each);
    await twice("softmax", "wide rows", each);
    await twice("normalize", "group normalisation of images", each);
    await twice("attention", "several tiles, causal", each);
  }
  await twice("logsumexp", "long columns");
  await twice("conv2dFilter", "a layer of an encoder");
  await twice("segmentSum", "many indices");
  await twice("nearest", "a codebook, l2");
});

test("every tiling that the adapter can run agrees with the reference", async () => {
  const { report, device: gpu } = await openGpu();
  gpu.destroy();
  for (const software of [true, false]) {
    for (const tiling of tilingsFor(software, report.limits).map(tilingName)) {
      const { device } = await openOwn({ software, tiling });
      await checkForward(reference, device, "matmul", rowOf("matmul", "batches"));
      await checkForward(reference, device, "conv2d", rowOf("conv2d", "no multiples of a tile"));
      device.close();
    }
  }
});

/** A function that checks rows of an operation on a device. */
function checkerOf(device: Device) {
  return async <N extends OperationName>(name: N, abouts: readonly string[]): Promise<void> => {
    for (const about of abouts) await checkForward(reference, device, name, rowOf(name, about));
  };
}

test("the usual tiling of software adapters agrees with the reference", async () => {
  const { device } = await openOwn({ software: true });
  const check = checkerOf(device);
  await check("matmul", ["batches, both transposed", "one right side for all, both transposed"]);
  const geometries = ["3×3, padded", "4×4, stride 2, padded", "one output channel"];
  await check("conv2d", [...geometries, "relu without a bias"]);
  await check("convTranspose2d", [...geometries, "relu without a bias"]);
  await check("conv2dFilter", geometries);
  device.close();
});

test("a tiling that the adapter does not have is rejected with a list of those it has", async () => {
  await assert.rejects(openDevice("webgpu", { tiling: "7x7" }), {
    name: "RangeError",
    message: /^Cannot open device webgpu: the tiling must be one of .*8x16.*, got 7x7$/,
  });
});

test("the shaders of real GPUs agree with the reference", async () => {
  const { device } = await openOwn({ software: false });
  const check = checkerOf(device);
  await check("matmul", [
    "batches",
    "batches, both transposed",
    "one right side for all, both transposed",
  ]);
  const geometries = ["no multiples of a tile", "dilation and stride 2", "a first layer"];
  await check("conv2d", [...geometries, "relu without a bias"]);
  await check("convTranspose2d", [...geometries, "relu without a bias"]);
  await check("conv2dFilter", geometries);
  for (const fold of ["sum", "max", "argmax", "logsumexp"] as const) {
    await check(fold, ["wide rows", "one long line"]);
  }
  await check("softmax", ["rows", "wide rows", "wide columns"]);
  await check("normalize", ["group normalisation of images", "groups too long to be held"]);
  await check("normalizeGradient", ["8 groups of [3,196,64]"]);
  const rows = ["many classes, smoothing 0.1", "a codebook, smoothing 0"];
  await check("crossEntropy", rows);
  await check("crossEntropyGradient", rows);
  await check("groupNorm", ["images, SiLU", "groups too long to be held, SiLU"]);
  await check("groupNormGradient", ["images, SiLU"]);
  await check("groupNormParameterGradient", ["images, SiLU", "many rows"]);
  const attentions = ["several tiles, causal", "wide heads", "a very wide head"];
  const small = ["odd sizes", "any numbers of keys, also none and too many"];
  await check("attention", [...attentions, ...small]);
  await check("attentionGradient", attentions);
  await check("nearest", [
    "no multiples of a tile, l2",
    "many keys, cos",
    "odd sizes, l2, noise",
    "equal keys, cos",
    "NaN among the keys, l2",
    "all keys NaN, l2",
  ]);
  device.close();
});

test("shaders that fold the values of threads agree with the reference without subgroups too", async () => {
  for (const software of [true, false]) {
    const { device } = await openOwn({ software, subgroups: false });
    assert.match(device.description, /, no subgroups/);
    const check = checkerOf(device);
    for (const fold of ["sum", "max", "argmax", "logsumexp"] as const) {
      await check(fold, ["one long line"]);
    }
    await check("softmax", ["wide rows"]);
    await check("normalize", ["group normalisation of images"]);
    await check("normalizeGradient", ["8 groups of [3,196,64]"]);
    await check("groupNorm", ["images, SiLU"]);
    await check("groupNormGradient", ["images, SiLU"]);
    await check("attention", ["several tiles, causal"]);
    await check("crossEntropy", ["many classes, smoothing 0.1"]);
    device.close();
  }
});

/** A device that reports another limit on a kernel's buffers. */
function withBuffers(opened: OpenedGpu, most: number): OpenedGpu {
  const { report } = opened;
  const limits = { ...report.limits, maxStorageBuffersPerShaderStage: most };
  return { ...opened, report: { ...report, limits } };
}

test("an optimiser step agrees with the reference for any limit on a kernel's buffers", async () => {
  for (const most of [8, Infinity]) {
    const opened = await openGpu();
    const { maxStorageBuffersPerShaderStage: offered } = opened.report.limits;
    const options = { software: false };
    const backend: unknown = new WebGpuBackend(
      withBuffers(opened, Math.min(most, offered)),
      options,
    );
    using device = new Device(backend as Backend);
    await checkForward(reference, device, "adam", rowOf("adam", "many parameters"));
  }
});

test("attention gradients agree with the reference even with few buffers per kernel", async () => {
  const opened = withBuffers(await openGpu(), 8);
  const backend: unknown = new WebGpuBackend(opened, { software: true });
  using device = new Device(backend as Backend);
  const row = rowOf("attentionGradient", "any numbers of keys, also none and too many");
  await checkForward(reference, device, "attentionGradient", row);
});

test("training steps reuse the memory and the bind groups of the first step", async () => {
  const { device, gpu } = await openOwn();
  const key = randomKey(1, "reuse");
  const quantizer = new ClusteredQuantizer(device, { codebookSize: 16, codebookDim: 4, key });
  const model = new VQVAE(device, quantizer, {
    channels: 1,
    hidden: 8,
    residualHidden: 4,
    residualLayers: 1,
    key,
  });
  const optimizer = new Adam(model.namedParameters(), {});
  const images = uniform([2, 28, 28, 1]);
  let made = 0;
  const createBindGroup = gpu.createBindGroup.bind(gpu);
  gpu.createBindGroup = (descriptor) => {
    made++;
    return createBindGroup(descriptor);
  };
  const figures: number[][] = [];
  for (let step = 0; step < 4; step++) {
    using _step = device.scope();
    const batch = device.tensor(images.values({ ...key, step }), images.shape);
    const context = { training: true, key: { ...key, step } };
    const options = { model, optimizer, variance: 1, learningRate: 1e-3 };
    await trainingStep(batch, context, options).scalars.mse.item();
    figures.push([device.liveBytes, device.pooledBytes, made]);
  }
  assert.deepEqual(figures, figures.map(() => figures[0]));
  device.close();
});

test("opening and closing devices leaks no threads, memory or buffer numbers", async () => {
  const threads = () =>
    Deno.build.os === "linux" ? [...Deno.readDirSync("/proc/self/task")].length : 0;
  const cycle = async (value: number) => {
    using device = await openDevice("webgpu");
    const x = device.tensor([value, 2], [2]); // left alive
    assert.deepEqual([...await affine(x, 2, 1).floats()], [2 * value + 1, 5]);
    return device;
  };
  await cycle(0);
  const before = threads();
  for (let value = 1; value <= 8; value++) await cycle(value);
  assert.equal(threads(), before);
  const closed = await cycle(9);
  closed.close();
  using another = await openDevice("webgpu");
  closed.close();
  assert.deepEqual(
    [...await affine(another.tensor([1], [1]), 2, 1).floats()],
    [3],
    "it is not destroyed",
  );
  await assert.rejects(closed.synchronize(), /the device was closed/);
});

test("a device whose shader was rejected is not reused", async () => {
  const device = await openDevice("webgpu");
  const x = device.tensor([1], [1]);
  assert.deepEqual([...await affine(x, 1, 0).floats()], [1]);
  const gpu = (x.buffer as unknown as { gpu: GPUBuffer }).gpu;
  gpu.destroy();
  await assert.rejects(async () => await affine(x, 1, 0).floats(), /refused|Cannot run on webgpu/);
  device.close();
  using fresh = await openDevice("webgpu");
  assert.deepEqual([...await affine(fresh.tensor([1], [1]), 3, 0).floats()], [3]);
});
