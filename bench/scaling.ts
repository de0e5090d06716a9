/** Predicts the time of a step over many ranks, from its counted operations and messages and from given rates.
 *
 *     deno run --allow-read --allow-env --allow-ffi bench/scaling.ts --compute 1000 --links 10,100 --latency 2
 *
 * A step of one rank is run with kernels that compute nothing. Their operations are counted from their shapes, and so are
 * the messages. Each rank has the same number of images for any number of ranks, so the batch grows with the ranks.
 *
 *     seconds(n) = operations/compute + Σ over messages of wait(n) + message(n)
 *     wait(n)    = 2·⌈log₂ n⌉·α                              the 8 bytes before each message, which synchronise ranks
 *     a sum      = min(2·(n − 1)·α + 2·(n − 1)/n·bytes/β,    a ring
 *                      ⌈log₂ n⌉·(α + bytes/β))                recursive doubling
 *     a gather   = ⌈log₂ n⌉·α + (n − 1)·bytes/β               bytes: those of one rank
 *
 * α is the latency of a message and β the rate of a link. As in `train`, nothing is sent while a rank computes.
 */
import { parseArgs } from "node:util";
import { withKernels, wrapKernels } from "../core/backend.ts";
import { costOf } from "../core/cost.ts";
import type { Attributes } from "../core/ops.ts";
import { randomKey } from "../core/random.ts";
import { openReferenceBackend } from "../core/reference/backend.ts";
import { Device } from "../core/tensor.ts";
import type { Communicator, Numbers } from "../training/distributed/communicator.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import {
  batchOf,
  type Case,
  CASES,
  exchange,
  makeObjective,
  type Message,
} from "./scaling_model.ts";

/** The work and the messages of a step on one rank. */
interface StepCost {
  readonly images: number;
  readonly parameters: number;
  readonly operations: number;
  readonly messages: readonly Message[];
}

/** One of two ranks. Its messages are recorded and not sent. */
class Scribe implements Communicator {
  readonly rank = 0;
  readonly size = 2;
  readonly description = "counted";
  readonly messages: Message[] = [];
  allReduce({ byteLength }: Numbers): void {
    this.messages.push({ kind: "sum", bytes: byteLength });
  }
  gather({ byteLength }: Numbers): void {
    this.messages.push({ kind: "gather", bytes: byteLength });
  }
  broadcast(): void {}
  barrier(): void {}
  abort(message: string): never {
    throw new Error(message);
  }
  [Symbol.dispose](): void {}
}

async function count(one: Case): Promise<StepCost> {
  const backend = openReferenceBackend();
  let operations = 0;
  const kernels = wrapKernels(backend.kernels, (name) => (inputs, outputs, attributes) => {
    operations += costOf(name, inputs, outputs, attributes as Attributes[typeof name]).operations ??
      0;
  });
  // deno-lint-ignore no-explicit-any -- a backend only gets buffers that it created itself
  using device = new Device(withKernels(backend, kernels) as any);
  using objective = await makeObjective(one, device);
  const scribe = new Scribe(), replicas = replicasOver(scribe, device);
  operations = 0;
  using _scope = device.scope();
  const key = randomKey(1, "counted");
  objective.step({ images: batchOf(one, device) }, { training: true, key, step: 0, replicas });
  return {
    images: one.images,
    parameters: objective.parameters().reduce((sum, { size }) => sum + size, 0),
    operations,
    messages: [...scribe.messages, { kind: "sum", bytes: 4 }], // The check for a signal.
  };
}

const { values } = parseArgs({
  options: {
    compute: { type: "string", default: "1000" },
    links: { type: "string", default: "10,100" },
    latency: { type: "string", default: "2" },
    ranks: { type: "string", default: "1,2,4,8,16,32,64,128,256,512,1024" },
  },
});
const compute = Number(values.compute) * 1e9, alpha = Number(values.latency) * 1e-6;
const links = values.links.split(",").map(Number), ranks = values.ranks.split(",").map(Number);
console.log(
  `A rank computes ${values.compute} GFLOP/s, and a message takes ${values.latency} µs. The share of a step that is not communication:\n`,
);
const costs = new Map<string, StepCost>();
for (const one of CASES) costs.set(one.preset, await count(one));
for (const [preset, { images, parameters, operations, messages }] of costs) {
  const bytes = (kind: Message["kind"]) =>
    messages.filter((message) => message.kind === kind).reduce((sum, m) => sum + m.bytes, 0);
  console.log(
    `- \`${preset}\`, ${images} images a rank: ${
      (parameters / 1e6).toFixed(2)
    } million parameters, ${
      (operations / 1e9).toFixed(1)
    } GFLOP a step, ${messages.length} messages: sums of ${
      (bytes("sum") / 1e6).toFixed(2)
    } MB, gathers of ${(bytes("gather") / 1e6).toFixed(2)} MB a rank`,
  );
}
const columns = [...costs.keys()].flatMap((preset) => links.map((link) => ({ preset, link })));
console.log(
  `\n| ranks | ${columns.map(({ preset, link }) => `${preset}, ${link} GB/s`).join(" | ")} |`,
);
console.log(`|---:|${columns.map(() => "---:|").join("")}`);
for (const n of ranks) {
  const cells = columns.map(({ preset, link }) => {
    const { operations, messages } = costs.get(preset)!;
    const computing = operations / compute;
    const share = computing / (computing + exchange(messages, n, alpha, link * 1e9));
    return `${(100 * share).toFixed(share > 0.995 ? 1 : 0)} %`;
  });
  console.log(`| ${n} | ${cells.join(" | ")} |`);
}
