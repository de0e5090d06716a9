/** Measures how fast this machine's devices are.
 *
 *     deno task bench step --batch 128 --json
 */
import * as z from "zod";
import { arithmeticCeiling, type Ceiling, memoryCeiling } from "../bench/ceiling.ts";
import { attentionBench } from "../bench/attention.ts";
import { convBench } from "../bench/conv.ts";
import { dataBench } from "../bench/data.ts";
import { elementwiseBench } from "../bench/elementwise.ts";
import { matmulBench } from "../bench/matmul.ts";
import { modelBench } from "../bench/model_step.ts";
import { quantizeBench } from "../bench/quantize.ts";
import { samplingBench } from "../bench/sampling.ts";
import { type Exponent, exponentsOf } from "../bench/exponents.ts";
import type { Bench, BenchRow } from "../bench/row.ts";
import { stepBench } from "../bench/step.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
import type { Profile } from "../core/profile.ts";
import { PRECISIONS } from "../core/precision.ts";
import type { Device } from "../core/tensor.ts";
import { chromeTrace, showDearest } from "../core/trace.ts";
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { taskCall } from "./call.ts";
import { asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { peakMemoryBytes, showTracePath } from "./measured.ts";

const BENCHES: ReadonlyMap<string, Bench> = new Map([
  ["matmul", matmulBench],
  ["conv", convBench],
  ["attention", attentionBench],
  ["quantize", quantizeBench],
  ["step", stepBench],
  ["vqgan", modelBench(["vqgan-small", "vqgan-f8"])],
  ["unet", modelBench(["ldm", "ddpm"])],
  ["transformer", modelBench(["gpt"])],
  ["sampling", samplingBench],
  ["elementwise", elementwiseBench],
  ["data", dataBench],
]);

const NAMES = [...BENCHES.keys()];

/** The benchmarks that can be profiled. */
const PROFILED = ["step", "vqgan", "unet", "transformer"];

const OPTIONS = z.strictObject({
  device: z.enum(DEVICE_CHOICES).default("auto").describe("the device to compute on"),
  threads: z.int().min(1).max(256).nullable().default(null)
    .describe("threads of the cpu device; none: one per core"),
  "cpu.blas": z.string().min(1).default("auto")
    .describe("library for the matrix products of the cpu device, as in train"),
  "cpu.dnn": z.string().min(1).default("auto")
    .describe("library for the convolutions of the cpu device, as in train"),
  precision: z.enum([...PRECISIONS]).default("float32")
    .describe(
      "precision of the layers; mixed rounds the operands of their products to float16 (on webgpu)",
    ),
  scaling: z.boolean().default(false)
    .describe(
      "measures several lengths, batch sizes and sides, on the cpu device also several numbers of threads, and fits exponents",
    ),
  batch: z.int().min(1).default(128).describe("images per batch"),
  runs: z.int().min(1).default(7).describe("measured runs; the fastest is reported"),
  profile: z.boolean().default(false)
    .describe(
      "profiles a benchmark of training steps: prints the slowest kernels, and writes trace.json",
    ),
  json: z.boolean().default(false).describe("prints each row as a line of JSON"),
});

/** The file of a profile, in the current folder. */
const TRACE = "trace.json";

const COMMAND: Command = {
  call: taskCall("bench"),
  summary: "Measures a part of the compute core, whole training steps, or the loader of images.",
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
    ...threads === undefined ? [] : [`${threads} thread${threads === 1 ? "" : "s"}`],
  ];
  return `${bench}  ${device}  ${shape}  ${ms.toFixed(2)} ms  ${parts.join("  ")}`;
}

function showExponent({ of, size, values, exponent, last, expected }: Exponent): string {
  return `${of}: time ∝ ${size}^${exponent.toFixed(2)} for ${size} = ${values.join(", ")}; ^${
    last.toFixed(2)
  } between the last two; expected: ^${expected}`;
}

/** The numbers of threads to measure, one after another; undefined: one thread per core. */
function threadCounts({ threads, scaling }: z.output<typeof OPTIONS>): (number | undefined)[] {
  if (threads !== null || !scaling) return [threads ?? undefined];
  const cores = navigator.hardwareConcurrency;
  const doubled = Array.from({ length: Math.ceil(Math.log2(cores)) }, (_, power) => 2 ** power);
  return [...doubled, cores];
}

/** The machine's measured limit for a row: memory bandwidth, or arithmetic on a CPU with a BLAS. */
async function ceilingFor(row: BenchRow, device: Device): Promise<Ceiling | undefined> {
  if (row.gigabytes_per_second !== undefined) return await memoryCeiling(device);
  return device.name === "webgpu" ? undefined : arithmeticCeiling();
}

/** The rate of a row in the unit of its ceiling. */
const rateOf = (row: BenchRow): number | undefined => row.gigabytes_per_second ?? row.gflops;

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
  const bench = BENCHES.get(line.operands.BENCH);
  if (bench === undefined) {
    throw new UsageError(
      `Cannot measure: the benchmark must be one of ${
        NAMES.join(", ")
      }, got ${line.operands.BENCH}, ${suggestName(line.operands.BENCH, NAMES)}`,
    );
  }
  const { BENCH } = line.operands;
  if (options.profile && (!PROFILED.includes(BENCH) || options.scaling)) {
    throw new UsageError(
      `Cannot profile: --profile must be given with one of ${
        PROFILED.join(", ")
      } and without --scaling, got ${BENCH}${options.scaling ? " --scaling" : ""}`,
    );
  }
  const profiles: Profile[] = [];
  const onProfile = options.profile ? (taken: Profile) => void profiles.push(taken) : undefined;
  const rows: BenchRow[] = [];
  for (const threads of threadCounts(options)) {
    using device = await openDevice(options.device, {
      threads,
      blas: options["cpu.blas"],
      dnn: options["cpu.dnn"],
      precision: options.precision,
    });
    console.error(device.description);
    let ceiling: Ceiling | undefined;
    for await (const row of bench(device, { ...options, onProfile })) {
      const rate = rateOf(row);
      if (rate !== undefined) ceiling ??= await ceilingFor(row, device);
      const share = rate === undefined || ceiling === undefined ? undefined : rate / ceiling.rate;
      const whole = { ...row, share, threads: row.threads ?? threads };
      rows.push(whole);
      console.log(options.json ? JSON.stringify(whole) : showRow(whole));
    }
    if (ceiling !== undefined) {
      console.error(`the ceiling is ${ceiling.rate.toFixed(1)}·10⁹ per second, by ${ceiling.by}`);
    }
    if (device.name !== "cpu") break;
  }
  for (const exponent of options.scaling ? exponentsOf(rows) : []) {
    console.log(options.json ? JSON.stringify(exponent) : showExponent(exponent));
  }
  if (profiles.length > 0) {
    for (const taken of profiles) console.error(showDearest(taken));
    await writeAtomically(TRACE, chromeTrace(profiles));
    console.error(showTracePath(TRACE));
  }
  console.error(`peak memory ${(peakMemoryBytes() / 2 ** 20).toFixed(0)} MiB`);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
