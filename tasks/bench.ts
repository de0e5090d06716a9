/** Measures how fast this machine's devices are.
 *
 *     deno task bench step --batch 128 --json
 */
import { z } from "zod";
import { arithmeticCeiling, type Ceiling, memoryCeiling } from "../bench/ceiling.ts";
import { convBench } from "../bench/conv.ts";
import { elementwiseBench } from "../bench/elementwise.ts";
import { matmulBench } from "../bench/matmul.ts";
import { quantizeBench } from "../bench/quantize.ts";
import type { Bench, BenchRow } from "../bench/row.ts";
import { stepBench } from "../bench/step.ts";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
import type { Device } from "../core/tensor.ts";
import { suggestName } from "../core/nearest_name.ts";
import { readSettings, settingsOf } from "../core/settings.ts";
import { asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { peakMemoryBytes } from "./measured.ts";

const BENCHES: ReadonlyMap<string, Bench> = new Map([
  ["matmul", matmulBench],
  ["conv", convBench],
  ["quantize", quantizeBench],
  ["step", stepBench],
  ["elementwise", elementwiseBench],
]);

const NAMES = [...BENCHES.keys()];

const OPTIONS = z.strictObject({
  device: z.enum(DEVICE_CHOICES).default("auto").describe("where to compute"),
  threads: z.int().min(1).max(256).nullable().default(null)
    .describe("threads of the device cpu; none: one a core"),
  scaling: z.boolean().default(false)
    .describe("measures over several lengths and batches, on cpu also over threads"),
  batch: z.int().min(1).default(128).describe("images at a time"),
  runs: z.int().min(1).default(7).describe("runs that count; the fastest is given"),
  json: z.boolean().default(false).describe("prints each row as a line of JSON"),
});

const COMMAND: Command = {
  call: "deno task bench",
  summary: "Measures a part of the compute core, or whole training steps.",
  operands: [{ name: "BENCH", description: `one of ${NAMES.join(", ")}` }],
  options: settingsOf(OPTIONS),
  settings: [],
};

function showRow({ bench, device, shape, ms, share, threads, ...rates }: BenchRow): string {
  const rate = [
    [rates.gflops, "GFLOP/s"],
    [rates.gigabytes_per_second, "GB/s"],
    [rates.images_per_second, "images/s"],
  ].flatMap(([value, unit]) =>
    value === undefined ? [] : [`${(value as number).toFixed(1)} ${unit}`]
  );
  const parts = [
    ...rate,
    ...share === undefined ? [] : [`${(100 * share).toFixed(0)} % of the ceiling`],
    ...threads === undefined ? [] : [`${threads} threads`],
  ];
  return `${bench}  ${device}  ${shape}  ${ms.toFixed(2)} ms  ${parts.join("  ")}`;
}

/** The threads to measure with, one after another; undefined: as many as there are cores. */
function threadCounts({ threads, scaling }: z.output<typeof OPTIONS>): (number | undefined)[] {
  if (threads !== null || !scaling) return [threads ?? undefined];
  const cores = navigator.hardwareConcurrency;
  const doubled = Array.from({ length: Math.ceil(Math.log2(cores)) }, (_, power) => 2 ** power);
  return [...doubled, cores];
}

/** What the machine reaches at most. */
interface Ceilings {
  /** Of arithmetic, by a BLAS on the processor; none for a GPU, or where there is no BLAS. */
  readonly arithmetic?: Ceiling;
  /** Of memory. */
  readonly memory: Ceiling;
}

async function measureCeilings(device: Device): Promise<Ceilings> {
  const memory = await memoryCeiling(device);
  const arithmetic = device.name === "webgpu" ? undefined : arithmeticCeiling();
  const shown = arithmetic === undefined
    ? "no BLAS was found"
    : `${arithmetic.rate.toFixed(1)} GFLOP/s by ${arithmetic.by}`;
  console.error(`ceilings: ${shown}; ${memory.rate.toFixed(1)} GB/s by ${memory.by}`);
  return { arithmetic, memory };
}

function shareOf({ gflops, gigabytes_per_second }: BenchRow, { arithmetic, memory }: Ceilings) {
  if (gigabytes_per_second !== undefined) return gigabytes_per_second / memory.rate;
  return gflops === undefined || arithmetic === undefined ? undefined : gflops / arithmetic.rate;
}

async function main(): Promise<number> {
  const line = readCommandLine(Deno.args, COMMAND);
  if (line.help) {
    console.log(showHelp(COMMAND));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const bench = BENCHES.get(line.operands.BENCH);
  if (bench === undefined) {
    throw new UsageError(
      `Cannot measure: the benchmark must be one of ${
        NAMES.join(", ")
      }, got ${line.operands.BENCH}, ${suggestName(line.operands.BENCH, NAMES)}`,
    );
  }
  for (const threads of threadCounts(options)) {
    using device = await openDevice(options.device, { threads });
    console.error(device.description);
    const ceilings = await measureCeilings(device);
    for await (const row of bench(device, options)) {
      const whole = { ...row, share: shareOf(row, ceilings), threads };
      console.log(options.json ? JSON.stringify(whole) : showRow(whole));
    }
    if (device.name !== "cpu") break;
  }
  console.error(`peak memory ${(peakMemoryBytes() / 2 ** 20).toFixed(0)} MiB`);
  return 0;
}

await runTask(main);
