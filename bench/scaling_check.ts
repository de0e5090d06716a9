/** Compares the model of `scaling.ts` with real steps over several ranks.
 *
 *     mpirun -n 2 deno run --allow-read --allow-env --allow-ffi bench/scaling_check.ts --link 6.8 --latency 0.45
 *
 * The latency is that of a message, and the link is the rate between two ranks, as measured by `all_reduce.ts`. The ranks
 * wait for each other before each message. This separates the wait for a slower rank, which is not in the model, from the
 * message, which is.
 */
import { parseArgs } from "node:util";
import { openDevice } from "../core/device.ts";
import { profile } from "../core/profile.ts";
import { randomKey } from "../core/random.ts";
import type { Communicator, Numbers } from "../training/distributed/communicator.ts";
import { openMpi } from "../training/distributed/mpi.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import { batchOf, exchange, makeObjective, type Message } from "./scaling_model.ts";

/** Times the messages of another communicator, in milliseconds. */
class Timed implements Communicator {
  readonly rank: number;
  readonly size: number;
  readonly description: string;
  readonly messages: (Message & { readonly took: number })[] = [];
  waited = 0;
  readonly #inner: Communicator;

  constructor(inner: Communicator) {
    this.#inner = inner;
    ({ rank: this.rank, size: this.size, description: this.description } = inner);
  }

  allReduce(values: Numbers, purpose: string): void {
    this.#time("sum", values.byteLength, () => this.#inner.allReduce(values, purpose));
  }
  gather(values: Numbers, into: Numbers, purpose: string): void {
    this.#time("gather", values.byteLength, () => this.#inner.gather(values, into, purpose));
  }
  broadcast(values: Numbers, root: number, purpose: string): void {
    this.#inner.broadcast(values, root, purpose);
  }
  barrier(purpose: string): void {
    this.#inner.barrier(purpose);
  }
  abort(message: string): never {
    this.#inner.abort(message);
  }
  [Symbol.dispose](): void {}

  #time(kind: Message["kind"], bytes: number, send: () => void): void {
    const start = performance.now();
    this.#inner.barrier("for the message");
    const met = performance.now();
    send();
    this.waited += met - start;
    this.messages.push({ kind, bytes, took: performance.now() - met });
  }
}

/** The best and the median. */
function show(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return [sorted[0], sorted[sorted.length >>> 1]].map((value) => value.toPrecision(2)).join(" / ");
}

const { values } = parseArgs({
  options: {
    presets: { type: "string", default: "digits,ldm" },
    images: { type: "string", default: "8" },
    steps: { type: "string", default: "20" },
    link: { type: "string", default: "10" },
    latency: { type: "string", default: "2" },
  },
});
const alpha = Number(values.latency) * 1e-6, beta = Number(values.link) * 1e9;
using communicator = openMpi({ timeout: 600 });
const { rank, size, description } = communicator;
const say = (line: string) => rank === 0 && console.log(line);
say(`${description}; times in ms: best / median of ${values.steps} steps`);
say("| preset | ranks | step | all-reduce in the profile | wait | messages | model |");
say("|---|---:|---:|---:|---:|---:|---:|");
using device = await openDevice("cpu", { threads: 1 });
for (const preset of values.presets.split(",")) {
  const one = { preset, images: Number(values.images), imageShape: [28, 28, 1] as const };
  using objective = await makeObjective(one, device);
  await objective.prepare(device);
  const steps: { whole: number; profiled: number; waited: number; sent: number }[] = [];
  let messages: readonly Message[] = [];
  for (let step = -1; step < Number(values.steps); step++) {
    const timed = new Timed(communicator), replicas = replicasOver(timed, device);
    const taken = await profile(device, "a step", () => {
      using _scope = device.scope();
      const key = randomKey(1, "checked", step + 1);
      objective.step({ images: batchOf(one, device) }, {
        ...{ training: true, key, step: step + 1, replicas },
      });
    });
    if (step < 0) continue; // The first step allocates memory.
    messages = timed.messages;
    steps.push({
      whole: taken.end - taken.start,
      profiled: taken.phases.filter(({ name }) => name === "all-reduce")
        .reduce((sum, { start, end }) => sum + end - start, 0),
      waited: timed.waited,
      sent: timed.messages.reduce((sum, { took }) => sum + took, 0),
    });
  }
  const cells = (["whole", "profiled", "waited", "sent"] as const)
    .map((name) => show(steps.map((step) => step[name])));
  const predicted = exchange(messages, size, alpha, beta) * 1e3;
  say(`| ${preset} | ${size} | ${cells.join(" | ")} | ${predicted.toPrecision(2)} |`);
}
