/** Tests whether a sum over ranks progresses while they compute, which decides what a non-blocking sum in the backward
 * pass would gain.
 *
 *     mpirun -n 2 deno run --allow-read --allow-env --allow-ffi bench/overlap.ts
 *
 * Each rank starts a non-blocking sum of 4 MiB, computes without calling MPI, and then waits for the sum. If MPI works in
 * the background, the wait is short. With polls in between, as a backward pass could make after each kernel, the
 * computation pays for the work.
 */
import { findLaunch, loadMpi } from "../training/distributed/mpi_library.ts";
import { openMpi } from "../training/distributed/mpi.ts";

const LENGTH = 2 ** 20, TIMES = 20, MILLISECONDS = 2, POLLS = 50;

using communicator = openMpi({ timeout: 60 });
const mpi = loadMpi("auto", findLaunch()!.libraries)!;
const { functions, float32, sum, inPlace, world, ignored } = mpi;
const values = new Float32Array(LENGTH), request = new BigUint64Array(new ArrayBuffer(8));
const address = Deno.UnsafePointer.of(values), handle = Deno.UnsafePointer.of(request);
const arrived = new Int32Array(1);

/** Computes for a number of rounds, in parts, without memory traffic. */
function compute(rounds: number, parts = 1, between = () => {}): void {
  for (let part = 0; part < parts; part++) {
    for (let round = 0; round < rounds / parts; round++) sink = Math.sqrt(sink + round);
    between();
  }
}
let sink = 1;

function clock(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
const trial = 1e6;
compute(trial); // Compiles it.
const best = Math.min(...Array.from({ length: 20 }, () => clock(() => compute(trial))));
const rounds = trial * MILLISECONDS / best;

const start = () => functions.MPI_Iallreduce(inPlace, address, LENGTH, float32, sum, world, handle);
const poll = () => void functions.MPI_Test(handle, arrived, ignored);
const finish = () => {
  do poll(); while (arrived[0] === 0);
};
const ways = {
  "the computation alone": () => compute(rounds),
  "the sum alone, blocking": () => communicator.allReduce(values, "the values"),
  "the sum alone, non-blocking": () => {
    start();
    finish();
  },
  "both, one after the other": () => {
    compute(rounds);
    communicator.allReduce(values, "the values");
  },
  "both at once, no polls": () => {
    start();
    compute(rounds);
    finish();
  },
  "both at once, polls": () => {
    start();
    compute(rounds, POLLS, poll);
    finish();
  },
};
const taken = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
for (let time = 0; time < TIMES; time++) {
  for (const [name, way] of Object.entries(ways)) {
    communicator.barrier("for the next measurement");
    taken.get(name)!.push(clock(way));
  }
}
if (communicator.rank === 0) {
  console.log(`${communicator.description}; ms, best / median of ${TIMES}`);
  for (const [name, times] of taken) {
    times.sort((a, b) => a - b);
    console.log(`${name}: ${times[0].toPrecision(2)} / ${times[TIMES >>> 1].toPrecision(2)}`);
  }
}
