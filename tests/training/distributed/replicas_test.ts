/** Tensors over ranks: what needs no second process. What does is in `collectives_ranks.ts`. */
import assert from "node:assert/strict";
import { withKernels } from "../../../core/backend.ts";
import { backward, detach, parameter, recordForeign } from "../../../core/execute.ts";
import { mul, square } from "../../../core/functions/elementwise.ts";
import { sum } from "../../../core/functions/reductions.ts";
import { SINGLE } from "../../../nn/replicas.ts";
import type { Communicator } from "../../../training/distributed/communicator.ts";
import { replicasOver } from "../../../training/distributed/replicas.ts";
import { SingleCommunicator } from "../../../training/distributed/single.ts";
import { testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";

const devices = await openTestDevices();

/** The first of two ranks, whose other one has the same values. */
class Twin implements Communicator {
  readonly rank = 0;
  readonly size = 2;
  readonly description = "twins";
  readonly sums: number[] = [];

  allReduce(values: Parameters<Communicator["allReduce"]>[0]): void {
    this.sums.push(values.length);
    for (let index = 0; index < values.length; index++) values[index] *= 2;
  }

  broadcast(): void {}

  gather(...[values, into]: Parameters<Communicator["gather"]>): void {
    into.set(values);
    into.set(values, values.length);
  }

  barrier(): void {}

  abort(message: string): never {
    throw new Error(message);
  }

  [Symbol.dispose](): void {}
}

testOnEach(devices, "with one rank, sums and rows are the tensors themselves", (device) => {
  using communicator = new SingleCommunicator();
  const replicas = replicasOver(communicator, device);
  using _scope = device.scope();
  const x = device.tensor([1, 2], [2]);
  assert.equal(replicas, SINGLE);
  assert.equal(replicas.sum(x), x);
  assert.equal(replicas.gather(x), x);
  assert.deepEqual(replicas.sumAll([x]), [x]);
});

testOnEach(devices, "several ranks need a device whose memory the host can access", (device) => {
  if (device.name === "webgpu") {
    const message =
      "Cannot train over 2 ranks: the device must be cpu or reference, whose memory can be sent directly, got webgpu";
    assert.throws(() => replicasOver(new Twin(), device), new TypeError(message));
  } else {
    assert.equal(replicasOver(new Twin(), device).count, 2);
  }
});

testOnEach(devices, "many tensors are sent in few messages", async (device) => {
  if (device.name === "webgpu") return;
  using _scope = device.scope();
  const twin = new Twin();
  const replicas = replicasOver(twin, device, { bucketSize: 10 });
  const lengths = [3, 4, 11, 1, 2];
  const tensors = lengths.map((length, index) =>
    device.tensor(Float32Array.from({ length }, (_, at) => 100 * index + at), [length])
  );
  const counts = device.tensor(Int32Array.of(5, 6), [2]);
  const live = device.liveBytes;
  const totals = replicas.sumAll([...tensors, counts]);
  assert.deepEqual(twin.sums, [10, 10, 1, 2]); // 21 of float32 and 2 of int32.
  for (const [index, length] of lengths.entries()) {
    const expected = Array.from({ length }, (_, at) => 2 * (100 * index + at));
    assert.deepEqual([...await totals[index].floats()], expected);
  }
  assert.deepEqual([...await totals[5].integers()], [10, 12]);
  for (const total of totals) total.dispose();
  assert.equal(device.liveBytes, live);
});

testOnEach(devices, "tensors that cannot be sent are rejected", (device) => {
  if (device.name === "webgpu") return;
  using _scope = device.scope();
  const replicas = replicasOver(new Twin(), device);
  assert.throws(
    () => replicas.gather(device.tensor([1], [])),
    new TypeError("Cannot gather over ranks: the tensor must have rows, got a scalar"),
  );
  const other = devices.find(({ name }) => name !== device.name)!;
  using foreign = other.tensor([1], [1]);
  assert.throws(() => replicas.sum(foreign), {
    name: "TypeError",
    message:
      `Cannot send a tensor to other ranks: it must be on ${device.name} with memory that the host sees, got one on ${other.name}`,
  });
  for (const bucketSize of [0, 1.5, NaN]) {
    assert.throws(
      () => replicasOver(new Twin(), device, { bucketSize }),
      new RangeError(
        `Cannot train over ranks: the size of a bucket must be a positive integer, got ${bucketSize}`,
      ),
    );
  }
});

testOnEach(devices, "the host can access the memory of a profiled device", async (device) => {
  using _scope = device.scope();
  const { backend } = device;
  const x = device.tensor([1, 2, 3], [3]), n = device.tensor(Int32Array.of(4), [1]);
  for (const seen of [backend, withKernels(backend, backend.kernels)]) {
    assert.equal(seen.host === undefined, device.name === "webgpu");
    const values = seen.host?.(x.buffer, "float32", 3);
    if (values === undefined) continue;
    assert.deepEqual([...values], [1, 2, 3]);
    assert.deepEqual([...seen.host!(n.buffer, "int32", 1)], [4]);
    values[1] = 7;
    assert.deepEqual([...await x.floats()], [1, 7, 3]);
    values[1] = 2;
  }
});

testOnEach(
  devices,
  "a recorded rule computes the gradient of its result",
  async (device) => {
    using _scope = device.scope();
    const x = parameter(device.tensor([1, -2], [2]));
    const before = square(x);
    const tripled = recordForeign(before, mul(detach(before), 3), (upstream) => mul(upstream, 3));
    const live = device.liveBytes;
    const [gradient] = backward(sum(tripled), [x]);
    assert.deepEqual([...await gradient.floats()], [6, -12]);
    assert.ok(device.liveBytes - live <= 512, "what the rule made is given back");
    const counts = recordForeign(x, device.tensor(Int32Array.of(1), [1]), (upstream) => upstream);
    assert.equal(counts.requiresGradient, false);
  },
);

Deno.test("one process is a run of one rank", () => {
  using communicator = new SingleCommunicator();
  const values = Int32Array.of(1, 2), into = new Int32Array(2);
  communicator.allReduce(values, "");
  communicator.broadcast(values, 0, "");
  communicator.gather(values, into, "");
  communicator.barrier("");
  assert.deepEqual([values, into], [Int32Array.of(1, 2), Int32Array.of(1, 2)]);
  assert.throws(() => communicator.broadcast(values, 1, ""), {
    name: "RangeError",
    message: "Cannot broadcast: the root must be an integer in [0, 1), got 1",
  });
  assert.throws(() => communicator.gather(values, new Float32Array(2), ""), {
    name: "TypeError",
    message:
      "Cannot gather over 1 ranks: the target must be a Int32Array of 2, got a Float32Array of 2",
  });
});
