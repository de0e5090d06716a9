import assert from "node:assert/strict";
import { type Backend, withKernels } from "../../core/backend.ts";
import { costOf } from "../../core/cost.ts";
import { assign, backward, parameter } from "../../core/execute.ts";
import { exp, mul } from "../../core/functions/elementwise.ts";
import { matmul } from "../../core/functions/products.ts";
import { sum } from "../../core/functions/reductions.ts";
import { type KernelRun, type Profile, profile } from "../../core/profile.ts";
import { openReferenceBackend } from "../../core/reference/backend.ts";
import { Device, type Tensor } from "../../core/tensor.ts";
import { chromeTrace, showDearest } from "../../core/trace.ts";
import { openGpu } from "../../core/webgpu/adapter.ts";
import { WebGpuBackend } from "../../core/webgpu/backend.ts";
import { tickOf } from "../../core/webgpu/clock.ts";
import { openTestDevices } from "../helpers.ts";
import { draw, testOnEach } from "../each_device.ts";

const devices = await openTestDevices();

/** Loss and gradient of exp(x·x), into `state`; nothing is kept. */
function work(device: Device, state: Tensor): void {
  using _scope = device.scope();
  device.phase("forward");
  const x = parameter(device.tensor(draw([8, 8], "x"), [8, 8]));
  const loss = sum(exp(matmul(x, x)));
  device.phase("backward");
  const [gradient] = backward(loss, [x]);
  assign(state, mul(gradient, loss));
}

/** Fails unless the kernels lie one after another within the profile, and the phases fill it to its end. */
function assertOrdered({ start, end, kernels, phases }: Profile): void {
  let before = start;
  for (const run of kernels) {
    assert.ok(run.start >= before && run.end >= run.start, `${run.name} begins in its turn`);
    before = run.end;
  }
  assert.ok(before <= end, "the last kernel ends within the profile");
  assert.ok(kernels.some((run) => run.end > run.start), "time is seen to pass");
  assert.deepEqual(phases.map(({ name }) => name), ["forward", "backward", "wait"]);
  assert.equal(phases.at(-1)?.end, end);
}

testOnEach(devices, "a profile contains every kernel and changes no result", async (device) => {
  const plain = device.tensor(new Float32Array(64), [8, 8]);
  work(device, plain);
  const profiled = device.tensor(new Float32Array(64), [8, 8]);
  const { backend } = device;
  const taken = await profile(device, "work", () => work(device, profiled));
  assert.equal(device.backend, backend);
  assert.deepEqual(await profiled.floats(), await plain.floats());

  assertOrdered(taken);
  const names = taken.kernels.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 3), ["matmul", "exp", "sum"]);
  assert.equal(names.filter((name) => name === "matmul").length, 3);
  assert.equal(names.at(-1), "copy");
  assert.equal(taken.device, device.description);
});

testOnEach(devices, "a trace has all fields that each event needs", async (device) => {
  const state = device.tensor(new Float32Array(64), [8, 8]);
  const taken = await profile(device, "work", () => work(device, state));
  const { traceEvents } = JSON.parse(chromeTrace([taken]));
  const complete = traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
  for (const { pid, tid, name, cat, ts, dur, args } of complete) {
    assert.ok(pid === 1 && [1, 2, 3].includes(tid) && name !== "" && cat !== "");
    assert.ok(ts >= 0 && dur >= 0 && typeof args === "object");
  }
  const of = (wanted: string) => complete.filter(({ cat }: { cat: string }) => cat === wanted);
  const [{ dur }] = of("profile"), kernels = of("kernel");
  assert.equal(kernels.length, taken.kernels.length);
  const total = kernels.reduce((sum: number, kernel: { dur: number }) => sum + kernel.dur, 0);
  assert.ok(total <= dur + 0.001 * kernels.length, `${total} µs within ${dur}, but for rounding`);
  const { args } = kernels[0];
  assert.deepEqual(
    [args.inputs, args.outputs, args.bytes, args.operations],
    ["1x8x8, 1x8x8", "1x8x8", 768, 1024],
  );
  assert.ok(args["GB/s"] >= 0 && args["GFLOP/s"] >= 0);
});

testOnEach(devices, "a profile that fails leaves the device as it was", async (device) => {
  const { backend } = device;
  const failing = () => profile(device, "failing", () => exp(device.tensor([1], [1])) && fail());
  const fail = () => {
    throw new Error("broken");
  };
  await assert.rejects(failing, /^Error: broken$/);
  assert.equal(device.backend, backend);
  const inner = () => profile(device, "inner", () => {});
  await assert.rejects(
    profile(device, "outer", async () => void await inner()),
    /^Error: Cannot watch \w+: one watcher is allowed at a time, got a second$/,
  );
  const x = device.tensor([0], [1]);
  const { kernels } = await profile(device, "whole", () => void exp(x));
  assert.deepEqual(kernels.map(({ name }) => name), ["exp"]);
});

/** Profiles work on a device that only waiting tells of, beside the same work without. */
async function assertHeldBack(backend: Backend): Promise<void> {
  using device = new Device(backend);
  const [plain, profiled] = [0, 1].map(() => device.tensor(new Float32Array(64), [8, 8]));
  work(device, plain);
  const taken = await profile(device, "work", () => work(device, profiled));
  assertOrdered(taken);
  assert.match(taken.clock, /waiting for each kernel by itself: every time includes a wait/);
  assert.deepEqual(await profiled.floats(), await plain.floats());
}

Deno.test("on a device without a clock, a profile runs kernels one at a time and waits for each", async () => {
  const reference = openReferenceBackend() as unknown as Backend;
  await assertHeldBack({ ...reference, timing: "wait" });
});

const webgpu = devices.find(({ name }) => name === "webgpu");

if (webgpu !== undefined) {
  Deno.test("webgpu without timestamp queries does the same", async () => {
    const { report, device } = await openGpu();
    device.destroy();
    const adapter = await navigator.gpu.requestAdapter();
    const plain = await adapter!.requestDevice({ requiredLimits: { ...report.limits } });
    const backend = new WebGpuBackend({ device: plain, report }, {}) as unknown as Backend;
    await assertHeldBack(withKernels(backend, backend.kernels));
  });

  Deno.test("a profile on webgpu can hold more kernels than a query set", async () => {
    using _scope = webgpu.scope();
    const x = webgpu.tensor([1], [1]);
    const { kernels, start, end } = await profile(webgpu, "many", () => {
      for (let run = 0; run < 2100; run++) exp(x).dispose();
    });
    assert.equal(kernels.length, 2100);
    assert.ok(kernels[0].start >= start && kernels[2099].end <= end);
    assert.ok(kernels.filter((run) => run.end > run.start).length > 2000);
  });
}

Deno.test("a tick is a nanosecond, unless the measurement clearly differs", () => {
  assert.equal(tickOf(49_500_000, 50), 1);
  assert.equal(tickOf(30_000_000, 50), 1, "the host was held up");
  assert.equal(tickOf(960_000, 50), 50e6 / 960_000);
});

Deno.test("bytes count each operand and output once, operations those of products", () => {
  const float = (...shape: number[]) => ({ shape, dtype: "float32" }) as const;
  const int = (...shape: number[]) => ({ shape, dtype: "int32" }) as const;
  const plain = { transposeA: true, transposeB: false };
  const window = { stride: [2, 2], padding: [1, 1], dilation: [1, 1] } as const;
  const images = float(5, 28, 28, 3), filter = float(4, 4, 3, 7), y = float(5, 14, 14, 7);
  const conv = 2 * (5 * 14 * 14 * 7) * (4 * 4 * 3);
  const convBytes = 4 * (5 * 28 * 28 * 3 + 4 * 4 * 3 * 7 + 5 * 14 * 14 * 7);
  assert.deepEqual(costOf("add", [float(3, 4), float(4)], [float(3, 4)], {}), { bytes: 112 });
  assert.deepEqual(costOf("gather", [float(99, 4), int(5)], [float(5, 4)], {}), { bytes: 180 });
  assert.deepEqual(costOf("matmul", [float(2, 5, 3), float(1, 5, 4)], [float(2, 3, 4)], plain), {
    bytes: 4 * (30 + 20 + 24),
    operations: 2 * 2 * 3 * 4 * 5,
  });
  assert.deepEqual(costOf("conv2d", [images, filter], [y], { ...window, relu: true }), {
    bytes: convBytes,
    operations: conv,
  });
  assert.deepEqual(
    costOf("convTranspose2d", [y, filter], [images], {
      ...window,
      outputSize: [28, 28],
      relu: false,
    }),
    { bytes: convBytes, operations: conv },
  );
  assert.deepEqual(
    costOf("conv2dFilter", [images, y], [filter], { ...window, kernelSize: [4, 4] }),
    { bytes: convBytes, operations: conv },
  );
  assert.equal(
    costOf("nearest", [float(6, 8), float(5, 8)], [int(6)], { distance: "l2" }).operations,
    2 * 6 * 5 * 8,
  );
});

Deno.test("kernels are summed by operation and shapes, the most expensive first", () => {
  const at = (name: string, start: number, end: number, operations?: number): KernelRun => ({
    name,
    inputs: [{ shape: [2, 3], dtype: "float32" }],
    outputs: [{ shape: [], dtype: "int32" }],
    start,
    end,
    call: { start, end },
    bytes: 1e6,
    ...operations === undefined ? {} : { operations },
    liveBytes: 3 * 2 ** 20,
  });
  const made: Profile = {
    title: "made up",
    device: "none",
    clock: "hand",
    start: 100,
    end: 110,
    kernels: [
      at("sum", 100, 101),
      at("matmul", 101, 106, 3e9),
      at("sum", 106, 107),
      { ...at("adam", 107, 107.5), outputs: Array(6).fill({ shape: [4], dtype: "float32" }) },
    ],
    phases: [],
  };
  assert.deepEqual(showDearest(made).split("\n"), [
    "made up: 10.0 ms, 75.0 % of it in 4 kernels; at most 3 MiB alive",
    "timed by hand",
    "kernel  shapes              calls    ms   share           rate",
    "matmul  2x3 → int32 scalar      1  5.00  50.0 %  600.0 GFLOP/s",
    "sum     2x3 → int32 scalar      2  2.00  20.0 %       1.0 GB/s",
    "adam    2x3 → 4 and 5 more      1  0.50   5.0 %       2.0 GB/s",
  ]);
  assert.equal(showDearest(made, 1).split("\n").length, 4);
});
