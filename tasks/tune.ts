/** Finds the fastest tilings of matrix products and convolutions on this machine's WebGPU adapter, and stores them for
 * later use of the device.
 *
 *     deno task tune
 */
import * as z from "zod";
import { convBench } from "../bench/conv.ts";
import { matmulBench } from "../bench/matmul.ts";
import type { Bench } from "../bench/row.ts";
import { keepTilings, openDevice, surveyDevices, type TilingNames } from "../core/device.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import type { Device } from "../core/tensor.ts";
import { taskCall } from "./call.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  batch: z.int().min(1).default(32).describe("images of a convolution"),
  runs: z.int().min(1).default(3).describe("runs of each kernel per round; the fastest counts"),
  rounds: z.int().min(1).default(2).describe("rounds over all tilings, one after another"),
  json: z.boolean().default(false).describe("prints the result as the last line of stdout"),
});

type Options = z.output<typeof OPTIONS>;

const COMMAND: Command = {
  call: taskCall("tune"),
  summary:
    "Times the ways to cut matrix products into tiles on this machine's WebGPU adapter, and keeps " +
    "the fastest in the user's cache folder (CODEBOOK_CACHE chooses another).",
  operands: [],
  options: settingsOf(OPTIONS),
  settings: [],
};

/** The benchmarks, by the operations whose tiling they determine. */
const BENCHES: { readonly [N in keyof TilingNames]: Bench } = {
  matmul: matmulBench,
  convolution: convBench,
};

/** A tiling must be faster by at least this fraction to replace the default one. */
const MARGIN = 0.03;

/** Milliseconds of every benchmark row, by shape. */
type Times = Map<string, number>;

async function measure(
  device: Device,
  bench: Bench,
  { batch, runs }: Options,
  times: Times,
): Promise<void> {
  for await (const { shape, ms } of bench(device, { batch, runs, scaling: false })) {
    times.set(shape, Math.min(ms, times.get(shape) ?? Infinity));
  }
}

/** The geometric mean of the times of one tiling's rows. */
function typical(times: Times): number {
  const logarithms = [...times.values()].map(Math.log);
  return Math.exp(logarithms.reduce((sum, value) => sum + value, 0) / logarithms.length);
}

/** The name of the fastest tiling; the first is the default. */
function fastestOf(typicals: ReadonlyMap<string, number>): string {
  const [[usual, usualTime]] = typicals;
  const [best, bestTime] = [...typicals].reduce((a, b) => b[1] < a[1] ? b : a);
  return bestTime < usualTime * (1 - MARGIN) ? best : usual;
}

async function tune(
  candidates: readonly string[],
  kind: keyof TilingNames,
  options: Options,
  output: Output,
): Promise<string> {
  const times = new Map(candidates.map((name) => [name, new Map() as Times]));
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, own] of times) {
      using device = await openDevice("webgpu", { tiling: name });
      await measure(device, BENCHES[kind], options, own);
    }
  }
  const typicals = new Map([...times].map(([name, own]) => [name, typical(own)]));
  const best = fastestOf(typicals);
  for (const [name, ms] of typicals) {
    output.say(`${kind}  ${name}  ${ms.toFixed(2)} ms${name === best ? "  chosen" : ""}`);
  }
  return best;
}

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const webgpu = (await surveyDevices()).find(({ name }) => name === "webgpu");
  if (webgpu?.adapter === undefined) {
    throw new Error(
      `Cannot tune: there must be a WebGPU adapter, got none: ${webgpu?.description}`,
    );
  }
  const { adapter } = webgpu;
  const { candidates } = adapter.tilings;
  const output = new Output(options.json);
  output.say(`tuning ${adapter.name}: ${candidates.length} tilings, typical times`);
  const tilings = {
    matmul: await tune(candidates, "matmul", options, output),
    convolution: await tune(candidates, "convolution", options, output),
  };
  const path = await keepTilings(adapter, tilings);
  output.result({ adapter: adapter.name, ...tilings, path }, [`saved in ${path}`]);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
