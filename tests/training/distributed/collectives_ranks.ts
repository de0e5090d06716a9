/** Run by mpirun: every collective against what it must give, computed by hand. */
import assert from "node:assert/strict";
import { openDevice } from "../../../core/device.ts";
import { backward, parameter } from "../../../core/execute.ts";
import { mul, square } from "../../../core/functions/elementwise.ts";
import { sum } from "../../../core/functions/reductions.ts";
import type { Numbers } from "../../../training/distributed/communicator.ts";
import { openMpi } from "../../../training/distributed/mpi.ts";
import { checkSameOnAll } from "../../../training/distributed/same_on_all.ts";
import { replicasOver } from "../../../training/distributed/replicas.ts";

using communicator = openMpi({ timeout: 60 });
const { rank, size } = communicator;
const ranks = Array.from({ length: size }, (_, other) => other);
const SIZES = [0, 1, 2, 3, 17, 1000, 65_537, 100_001];

/** Whole numbers, so that the order of a sum does not matter; different for every rank and place. */
const valueAt = (owner: number, index: number) => (owner + 1) * ((index % 1013) - 500);
const makers: readonly ((length: number) => Numbers)[] = [
  (length) => new Float32Array(length),
  (length) => new Float64Array(length),
  (length) => new Int32Array(length),
  (length) => new Float32Array(new SharedArrayBuffer(length * 4 + 64), 64, length),
];
const fill = (values: Numbers, owner: number) => {
  for (let index = 0; index < values.length; index++) values[index] = valueAt(owner, index);
  return values;
};

function assertSame(values: Numbers, expected: Numbers): void {
  const other = expected.findIndex((value, index) => !Object.is(value + 0, values[index] + 0));
  assert.equal(other, -1, `${other}: ${expected[other]}, got ${values[other]}`);
  assert.equal(values.length, expected.length);
}

for (const make of makers) {
  for (const length of SIZES) {
    const total = make(length);
    for (let index = 0; index < length; index++) {
      total[index] = ranks.reduce((before, owner) => before + valueAt(owner, index), 0);
    }
    const summed = fill(make(length), rank);
    communicator.allReduce(summed, "the test's values");
    assertSame(summed, total);

    for (const root of ranks) {
      const sent = fill(make(length), rank);
      communicator.broadcast(sent, root, "the test's values");
      assertSame(sent, fill(make(length), root));
    }

    const into = make(size * length);
    communicator.gather(fill(make(length), rank), into, "the test's values");
    ranks.forEach((owner) => {
      const part = into.subarray(owner * length, (owner + 1) * length);
      assertSame(part, fill(make(length), owner));
    });
  }
}

// What a type can hold and another cannot.
const large = Int32Array.of(2 ** 24 + rank), exact = Float64Array.of(2 ** 50 + rank);
communicator.allReduce(large, "integers");
communicator.allReduce(exact, "doubles");
const sumOfRanks = size * (size - 1) / 2;
assert.equal(large[0], size * 2 ** 24 + sumOfRanks);
assert.equal(exact[0], size * 2 ** 50 + sumOfRanks);
// The same bits on every rank, whatever the order of the sum.
const odd = Float32Array.from({ length: 4099 }, (_, index) => Math.sin(index + rank * 0.7));
communicator.allReduce(odd, "sines");
const all = new Float32Array(size * odd.length);
communicator.gather(odd, all, "sums");
ranks.forEach((owner) =>
  assert.deepEqual(all.subarray(owner * odd.length, (owner + 1) * odd.length), odd)
);

assert.throws(
  () => communicator.broadcast(odd, size, "nothing"),
  new RangeError(`Cannot broadcast: the root must be an integer in [0, ${size}), got ${size}`),
);
assert.throws(
  () => communicator.gather(odd, new Float32Array(1), "nothing"),
  new TypeError(
    `Cannot gather over ${size} ranks: the target must be a Float32Array of ${
      size * 4099
    }, got a Float32Array of 1`,
  ),
);

// Rank 2, if there is one, and rank 1 differ in one bit of one value.
const same = new Map([["weight", odd], ["codebook", odd.slice()]]);
checkSameOnAll(communicator, same, "after step 1");
if (rank === 1 || rank === 2) new Int32Array(same.get("codebook")!.buffer)[7] ^= 1 << 31;
const differ = () => checkSameOnAll(communicator, same, "after step 2");
if (size === 1) differ();
else {
  assert.throws(
    differ,
    new Error(
      `Cannot go on after step 2: codebook must be the same on all ranks, got another on rank ${
        size === 2 ? "1" : "1, 2"
      } than on rank 0`,
    ),
  );
}

for (const name of ["reference", "cpu"] as const) {
  using device = await openDevice(name, { threads: 1, blas: "off" });
  const replicas = replicasOver(communicator, device, { bucketSize: 7 });
  assert.deepEqual([replicas.rank, replicas.count], [rank, size]);
  using _scope = device.scope();
  const lengths = [1, 5, 3, 20, 7, 2, 14];
  const tensors = lengths.map((length, index) => {
    const values = Array.from({ length }, (_, place) => valueAt(rank, place + index));
    return device.tensor(index % 3 === 2 ? Int32Array.from(values) : values, [length]);
  });
  const expected = lengths.map((length, index) =>
    Array.from(
      { length },
      (_, place) => ranks.reduce((before, owner) => before + valueAt(owner, place + index), 0),
    )
  );
  const read = async (tensor: typeof tensors[number]) => [
    ...(tensor.dtype === "int32" ? await tensor.integers() : await tensor.floats()),
  ];
  const totals = replicas.sumAll(tensors);
  for (const [index, tensor] of tensors.entries()) {
    assert.deepEqual(await read(totals[index]), expected[index]);
    assert.deepEqual(await read(replicas.sum(tensor)), expected[index]);
    assert.equal(totals[index].dtype, tensor.dtype);
    assert.deepEqual(
      await read(tensor),
      Array.from({ length: lengths[index] }, (_, place) => valueAt(rank, place + index)),
      "operands stay as they are",
    );
  }
  const rows = replicas.gather(device.tensor([rank, 1, 2, 3, 4, 5], [3, 2]));
  assert.deepEqual(rows.shape, [3 * size, 2]);
  assert.deepEqual(await read(rows), ranks.flatMap((owner) => [owner, 1, 2, 3, 4, 5]));

  // y = Σ x², L = Σ over ranks of w_r·y: dL/dx_r = 2·x_r·Σ w; and of the gathered rows, 2·x_r·Σ w.
  const weights = ranks.reduce((before, owner) => before + owner + 1, 0);
  const x = parameter(device.tensor([rank + 1, -2], [2]));
  for (const globally of [replicas.sum, replicas.gather]) {
    const loss = mul(sum(globally.call(replicas, square(x))), rank + 1);
    const [gradient] = backward(loss, [x]);
    assert.deepEqual(await read(gradient), [2 * weights * (rank + 1), -4 * weights]);
  }
}
console.log(`rank ${rank} of ${size} agrees (${communicator.description})`);
