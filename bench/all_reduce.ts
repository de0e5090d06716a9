/** Measures how fast ranks sum and gather, by message size. This is the network's part of a step over several processes.
 *
 *     mpirun -n 2 deno run --allow-ffi --allow-env --allow-read bench/all_reduce.ts
 */
import { openDevice } from "../core/device.ts";
import { openMpi } from "../training/distributed/mpi.ts";
import { replicasOver } from "../training/distributed/replicas.ts";

const SIZES = [1, 256, 4096, 65_536, 2 ** 20, 2 ** 22, 2 ** 24];
const SECONDS = 0.2;
const LEAST_TIMES = 5;

/** The times of one call in milliseconds: the best, as on an idle machine, and the median. All ranks make the same number
 * of calls. */
function time(call: () => void, elements: number): readonly [best: number, median: number] {
  const guess = 1e-5 + elements * 4e-9;
  const times = Math.max(LEAST_TIMES, Math.min(2000, Math.ceil(SECONDS / guess)));
  const taken = Array.from({ length: times }, () => {
    const start = performance.now();
    call();
    return performance.now() - start;
  });
  taken.sort((a, b) => a - b);
  return [taken[0], taken[times >>> 1]];
}

using communicator = openMpi({ timeout: 60 });
const { rank, size, description } = communicator;
const say = (line: string) => rank === 0 && console.log(line);

const show = (times: readonly number[]) =>
  times.map((milliseconds) => milliseconds.toPrecision(2)).join(" / ");

say(`${description}; times in ms: best / median`);
say("| float32 | all-reduce | best, GB/s | gather |");
say("|---:|---:|---:|---:|");
for (const length of SIZES) {
  const values = new Float32Array(length);
  const sum = time(() => communicator.allReduce(values, "the benchmark's values"), length);
  const own = new Float32Array(Math.ceil(length / size)), all = new Float32Array(own.length * size);
  const gather = time(() => communicator.gather(own, all, "the benchmark's rows"), length);
  const rate = length * 4 / sum[0] / 1e6;
  say(`| ${length} | ${show(sum)} | ${rate.toPrecision(2)} | ${show(gather)} |`);
}

say("");
say("Gradients of 10 million values in 200 tensors on the device cpu, by bucket size:");
say("| bucket | best / median |");
say("|---:|---:|");
using device = await openDevice("cpu", { threads: 1, blas: "off" });
using _scope = device.scope();
const gradients = Array.from({ length: 200 }, () => device.tensor(new Float32Array(5e4), [5e4]));
const report = (name: string, call: () => void) => say(`| ${name} | ${show(time(call, 1e7))} |`);
for (const bucketSize of [2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24]) {
  const replicas = replicasOver(communicator, device, { bucketSize });
  report(String(bucketSize), () => {
    using _once = device.scope();
    replicas.sumAll(gradients);
  });
}
const replicas = replicasOver(communicator, device);
report("none, one message per tensor", () => {
  using _once = device.scope();
  for (const gradient of gradients) replicas.sum(gradient);
});
