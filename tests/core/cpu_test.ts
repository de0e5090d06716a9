/** What only the cpu device has: threads, and a memory of its own. */
import { Worker } from "node:worker_threads";
import assert from "node:assert/strict";
import type { HostArray } from "../../core/backend.ts";
import { watchWorker } from "../../core/cpu/deno_worker.ts";
import { CpuMemory } from "../../core/cpu/memory.ts";
import { startMachine } from "../../core/cpu/threads.ts";
import { openDevice } from "../../core/device.ts";
import { add } from "../../core/functions/elementwise.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Adam } from "../../nn/optimizers.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { trainingStep } from "../../objectives/training_step.ts";
import { forward, type Row } from "./check_operation.ts";
import { operationCases } from "./operation_cases.ts";
import { uniform } from "./operands.ts";
import { findTestBlas, findTestDnn } from "../helpers.ts";

/** The cases of one operation, each as its name and what gives its outputs on a device. */
function casesOf<N extends OperationName>(
  name: N,
): [string, (device: Device) => Promise<HostArray[]>][] {
  const rows: readonly Row<Attributes[N]>[] = operationCases[name];
  return rows.map((row) => [`${name}: ${row.about}`, (device) => forward(device, name, row)]);
}

const OPERATIONS = Object.keys(operationCases) as OperationName[];

const CONVOLUTIONS = ["conv2d", "convTranspose2d", "conv2dFilter"] as const;

interface Products {
  readonly blas: string;
  readonly dnn: string;
  readonly by: string;
  readonly names: readonly OperationName[];
}

/** Whose products are tested, and in which operations: the device's own, and those of libraries where there are any. */
const PRODUCTS: readonly Products[] = [
  { blas: "off", dnn: "off", by: "its own kernels", names: OPERATIONS },
  ...await findTestBlas() === undefined ? [] : [{
    blas: "auto",
    dnn: "off",
    by: "BLAS",
    names: ["matmul", ...CONVOLUTIONS] as const,
  }],
  ...await findTestDnn() === undefined ? [] : [{
    blas: "off",
    dnn: "auto",
    by: "oneDNN",
    names: CONVOLUTIONS,
  }],
];

/** Asserts that two lists of arrays hold the same bits. */
function assertSameBits(got: readonly HostArray[], expected: readonly HostArray[], what: string) {
  assert.equal(got.length, expected.length, what);
  const words = ({ buffer }: HostArray) => new Int32Array(buffer);
  got.forEach((values, index) => {
    const own = words(values), other = words(expected[index]);
    const at = own.findIndex((word, place) => word !== other[place]);
    assert.equal(at, -1, `${what}: element ${at} of output ${index}`);
    assert.equal(own.length, other.length, what);
  });
}

/** The model's state after some training steps. */
async function train(device: Device, steps: number): Promise<ReadonlyMap<string, HostArray>> {
  using _scope = device.scope();
  const key = randomKey(3, "threads");
  const quantizer = new ClusteredQuantizer(device, { codebookSize: 33, codebookDim: 10, key });
  const sizes = { channels: 3, hidden: 20, residualHidden: 9, key };
  const model = new VQVAE(device, quantizer, sizes);
  const optimizer = new Adam(model.namedParameters());
  const images = device.tensor(uniform([17, 16, 16, 3]).values(key), [17, 16, 16, 3]);
  for (let step = 0; step < steps; step++) {
    using _step = device.scope();
    const options = { model, optimizer, variance: 0.1, learningRate: 1e-3 };
    trainingStep(images, { training: true, key: { ...key, step } }, options);
  }
  const state = await model.stateDictionary();
  return new Map(Array.from(state, ([name, { values }]) => [name, values]));
}

for (const { blas, dnn, by, names } of PRODUCTS) {
  Deno.test(`a result depends neither on the number of threads nor on earlier operations, with ${by}`, async () => {
    using one = await openDevice("cpu", { threads: 1, blas, dnn });
    using two = await openDevice("cpu", { threads: 2, blas, dnn });
    using five = await openDevice("cpu", { threads: 5, blas, dnn });
    const cases = names.flatMap((name) => casesOf(name));
    const expected: HostArray[][] = [];
    for (const [what, run] of cases) {
      const outputs = await run(one);
      expected.push(outputs);
      assertSameBits(await run(five), outputs, `${what}, on 5 threads`);
    }
    for (const [index, [what, run]] of [...cases.entries()].reverse()) {
      assertSameBits(await run(two), expected[index], `${what}, on 2 threads`);
    }
  });

  Deno.test(`training gives the same bits on 1 and on 3 threads, with ${by}`, async () => {
    using one = await openDevice("cpu", { threads: 1, blas, dnn });
    using three = await openDevice("cpu", { threads: 3, blas, dnn });
    const untrained = await train(one, 0), expected = await train(one, 3);
    const got = await train(three, 3);
    assert.deepEqual([...got.keys()], [...expected.keys()]);
    for (const [name, values] of expected) {
      assertSameBits([got.get(name) ?? values], [values], name);
    }
    assert.notDeepEqual(expected, untrained);
  });
}

Deno.test("a segment sum does not affect a later padded convolution", async () => {
  using device = await openDevice("cpu", { threads: 2, blas: "off", dnn: "off" });
  const convolutions = casesOf("conv2d"), before = [];
  for (const [, run] of convolutions) before.push(await run(device));
  for (const [, run] of casesOf("segmentSum")) await run(device);
  for (const [index, [what, run]] of convolutions.entries()) {
    assertSameBits(await run(device), before[index], what);
  }
});

Deno.test("a number of threads that is not an integer in [1, 256] is rejected", async () => {
  for (const threads of [0, -1, 1.5, 257, NaN, Infinity]) {
    await assert.rejects(openDevice("cpu", { threads }), {
      name: "RangeError",
      message: `Cannot open the cpu device: threads must be an integer in [1, 256], got ${threads}`,
    });
  }
});

Deno.test("devices with different numbers of threads coexist, and closing one does not affect the others", async () => {
  const devices = await Promise.all([1, 2, 3, 7].map((threads) => openDevice("cpu", { threads })));
  const ones = new Float32Array(100_000).fill(1);
  while (devices.length > 0) {
    const sums = devices.map((device, index) => {
      const x = device.tensor(ones, [100_000]);
      return add(x, device.tensor([index], [1])).floats();
    });
    for (const [index, values] of (await Promise.all(sums)).entries()) {
      assert.ok(values.every((value) => value === 1 + index), `device ${index}`);
    }
    devices.shift()?.close();
  }
});

Deno.test("a tensor too large for the memory is rejected, and the device still works", async () => {
  using device = await openDevice("cpu", { threads: 2 });
  const x = device.tensor([1, 2], [2]);
  assert.throws(() => device.empty([2 ** 15, 2 ** 16]), {
    name: "RangeError",
    message: /^Cannot allocate 8589934592 bytes: the cpu device holds \d+ bytes at most, got \d+/,
  });
  assert.deepEqual([...await add(x, x).floats()], [2, 4]);
});

/** A memory as it is before anything is allocated. */
function freshMemory(): CpuMemory {
  const memory = new CpuMemory();
  memory.begin(1000);
  return memory;
}

Deno.test("allocations are aligned, large enough, and do not overlap", () => {
  const memory = freshMemory();
  let end = 1000;
  for (const bytes of [0, 4, 64, 65, 1_000_000]) {
    const piece = memory.allocate(bytes);
    assert.equal(piece.address % 64, 0);
    assert.ok(piece.bytes >= bytes && piece.address >= end);
    end = piece.address + piece.bytes;
  }
});

Deno.test("adjacent free blocks merge, in any order, and are reused", () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1]]) {
    const memory = freshMemory();
    const pieces = [0, 1, 2].map(() => memory.allocate(128));
    const guard = memory.allocate(64);
    for (const index of order) memory.free(pieces[index]);
    assert.equal(memory.allocate(3 * 128).address, pieces[0].address, `freed in order ${order}`);
    memory.free(guard);
    assert.equal(
      memory.allocate(1000).address,
      guard.address,
      "what is freed last goes to the top",
    );
  }
});

Deno.test("the smallest sufficient gap is used", () => {
  const memory = freshMemory();
  const [large, , small] = [640, 64, 192, 64].map((bytes) => memory.allocate(bytes));
  memory.free(large);
  memory.free(small);
  assert.equal(memory.allocate(128).address, small.address);
  assert.equal(memory.allocate(128).address, large.address);
  assert.equal(memory.allocate(64).address, small.address + 128);
});

Deno.test("freeing memory that is not allocated is an error", () => {
  const memory = freshMemory();
  const piece = memory.allocate(64);
  memory.free(piece);
  const message = "Cannot free memory: it must be in use, got a buffer of 64 bytes that is not";
  assert.throws(() => memory.free(piece), { message });
  const heir = memory.allocate(64);
  assert.equal(heir.address, piece.address);
  assert.throws(() => memory.free(piece), { message });
  assert.throws(() => freshMemory().free(heir), { message });
});

Deno.test("the workspace is a single allocation that grows", () => {
  const memory = freshMemory();
  const first = memory.workspace(256);
  assert.equal(memory.workspace(100), first);
  assert.equal(memory.workspace(4096), first, "the old one is freed before the new one is taken");
  const other = memory.allocate(64);
  assert.ok(other.address >= first + 4096);
});

/** Opens a machine, lets a kernel trap beyond the end of the memory, and asks for more. */
const TRAPPING = `
import { CpuMemory } from ${JSON.stringify(new URL("../../core/cpu/memory.ts", import.meta.url))};
import { startMachine } from ${
  JSON.stringify(new URL("../../core/cpu/threads.ts", import.meta.url))
};
const memory = new CpuMemory();
const machine = await startMachine(memory, 3);
const room = memory.allocate(4_000_000).address, end = memory.memory.buffer.byteLength;
const fill = (address, count) => {
  machine.describe([address, machine.exports.jobAddress() + 40, 1, 0, 1, 0, 0, count, 4, 0]);
  try {
    machine.exports.move();
    console.log("ran");
  } catch (error) {
    console.log(error instanceof WebAssembly.RuntimeError ? "trapped" : error);
  }
};
fill(room, 1_000_000);
fill(end - 100_004, 32_768); // the first of two tasks fits
fill(room, 1_000_000);
fill(room, 1);
`;

Deno.test("a kernel that traps on any thread throws, all later kernels throw, and the process can exit", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", TRAPPING],
    signal: AbortSignal.timeout(20_000),
    stderr: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.deepEqual(lines, ["ran", "trapped", "trapped", "trapped"]);
});

Deno.test("an open device does not keep the process alive", async () => {
  const module = JSON.stringify(new URL("../../core/device.ts", import.meta.url));
  const program = `
    const { openDevice } = await import(${module});
    await openDevice("cpu", { threads: 3 });
  `;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", program],
    signal: AbortSignal.timeout(20_000),
  }).output();
  assert.equal(code, 0);
});

Deno.test("a worker that ends, before or after it has started, is reported with advice", async () => {
  const told: string[] = [];
  const watch = (program: string) =>
    watchWorker(new Worker(program, { eval: true }), 3, (reason) => told.push(reason));
  const message = /^Cannot run on the cpu device: thread 3 must live .* code 5; .*--cpu\.threads/;
  await assert.rejects(watch("process.exitCode = 5; close()"), { message });
  const ready = 'require("node:worker_threads").parentPort.postMessage("ready");';
  await watch(`${ready} setTimeout(() => { process.exitCode = 5; close(); }, 50)`);
  while (told.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  for (const reason of told) assert.match(reason, message);
});

Deno.test("after a thread is lost, kernels throw an error that says what happened", async () => {
  const machine = await startMachine(new CpuMemory(), 1);
  machine.fail("a thread is gone");
  assert.throws(() => machine.describe([1]), { message: "a thread is gone" });
  machine.close();
});
