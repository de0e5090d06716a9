/** Measures how fast this machine's devices are.
 *
 *     deno task bench step --batch 128 --json
 */
import { z } from "zod";
import { convBench } from "../bench/conv.ts";
import { elementwiseBench } from "../bench/elementwise.ts";
import { matmulBench } from "../bench/matmul.ts";
import { quantizeBench } from "../bench/quantize.ts";
import type { Bench, BenchRow } from "../bench/row.ts";
import { stepBench } from "../bench/step.ts";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
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

function showRow({ bench, device, shape, ms, ...rates }: BenchRow): string {
  const rate = [
    [rates.gflops, "GFLOP/s"],
    [rates.gigabytes_per_second, "GB/s"],
    [rates.images_per_second, "images/s"],
  ].flatMap(([value, unit]) =>
    value === undefined ? [] : [`${(value as number).toFixed(1)} ${unit}`]
  );
  return `${bench}  ${device}  ${shape}  ${ms.toFixed(2)} ms  ${rate.join("  ")}`;
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
  using device = await openDevice(options.device, { threads: options.threads ?? undefined });
  console.error(device.description);
  for await (const row of bench(device, options)) {
    console.log(options.json ? JSON.stringify(row) : showRow(row));
  }
  console.error(`peak memory ${(peakMemoryBytes() / 2 ** 20).toFixed(0)} MiB`);
  return 0;
}

await runTask(main);
