/** `deno task doctor --plan`: shows how much memory a configuration needs, and whether the device has it. */
import { stat } from "node:fs/promises";
import type { DeviceName } from "../core/backend.ts";
import { type MemoryLimits, memoryLimits, openDevice } from "../core/device.ts";
import { imageShapeOf, openDataset } from "../data/registry.ts";
import { objectiveKind } from "../objectives/registry.ts";
import type { Config } from "../training/config.ts";
import { type MemoryPlan, planMemory, type StepPlan } from "../training/memory_plan.ts";
import { PRESETS } from "../training/presets.ts";
import { resolveUnchecked } from "../training/resolve.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readConfigFile } from "./config_file.ts";
import { asInput, asUsage } from "./fail.ts";
import { Output } from "./output.ts";

/** Options of the plan. */
export interface PlanOptions {
  /** A preset, a JSON file of settings or the folder of a run. */
  readonly plan: string;
  /** The batch sizes; none: 1, 2, 4, … up to that of the configuration. */
  readonly batch: readonly number[] | null;
  /** Whether the result is JSON. */
  readonly json: boolean;
}

/** Whether a step fits. `barely`: only if the device frees the buffers that it keeps for reuse. `unknown`: the device does not
 * report its memory. */
type Verdict = "yes" | "barely" | "no" | "unknown";

/** Prints the plan of a configuration. The exit code is 1 if the configuration's own batch size does not fit.
 * @param flags settings that override those of the configuration
 */
export async function showMemoryPlan(
  { plan: source, batch, json }: PlanOptions,
  flags: Readonly<Record<string, unknown>>,
): Promise<number> {
  const config = await configOf(source, flags);
  const { batchSize, recompute } = config.training;
  const device = await deviceOf(config);
  const imageShape = imageShapeOf(config.data);
  const batches = batch ?? usualBatches(config);
  const plan = await asInput(async () =>
    await planMemory(config, {
      ...{ device, imageShape, batches },
      classes: await classesOf(config),
    })
  );
  const limits = await memoryLimits(device), freeBytes = freeMemory();
  const capacity = smallest(limits.totalBytes, device === "webgpu" ? null : freeBytes);
  const judge = (step: StepPlan) => verdict(step, { ...limits, totalBytes: capacity });
  const steps = plan.steps.map((step) => ({ ...step, fits: judge(step) }));
  new Output(json).result(
    { ...{ source, device, imageShape, limits, freeBytes }, ...plan, steps },
    [
      showStanding(source, plan),
      `images ${imageShape.join("×")}; ${showCapacity(device, limits, freeBytes)}`,
      ...showSteps(steps),
      "bytes held by tensors at the peak of a training step, without scratch memory of kernels and without the program itself",
    ],
  );
  const own = steps.find((step) => step.batch === batchSize && step.recompute === recompute);
  return own?.fits === "no" ? 1 : 0;
}

/** Reads the configuration. */
async function configOf(source: string, flags: Readonly<Record<string, unknown>>): Promise<Config> {
  const found = await stat(source).catch(() => undefined);
  if (PRESETS.has(source) || found === undefined) {
    return asUsage(() => resolveUnchecked({ flags: { ...flags, preset: source } }));
  }
  if (!found.isDirectory()) {
    const file = await readConfigFile(source);
    return asUsage(() => resolveUnchecked({ file, flags }));
  }
  const saved = await new RunFolder(source).readConfig();
  return asUsage(() => resolveUnchecked({ saved, flags }));
}

/** 1, 2, 4, … up to the configuration's own batch size, without those that `training.accumulate` does not divide. */
function usualBatches({ training: { batchSize, accumulate } }: Config): readonly number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(batchSize)) }, (_, at) => 2 ** at);
  return [...powers, batchSize].filter((batch) => batch % accumulate === 0);
}

/** The classes of the images, for generators. */
async function classesOf(config: Config): Promise<readonly string[] | undefined> {
  if (objectiveKind(config.objective.type).quantizes) return undefined;
  return (await openDataset(config.data)).classes;
}

async function deviceOf({ device }: Config): Promise<DeviceName> {
  if (device !== "auto") return device;
  using opened = await openDevice("auto");
  return opened.name;
}

/** Free memory of this machine in bytes; null if this process may not ask. */
function freeMemory(): number | null {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return state === "granted" ? Deno.systemMemoryInfo().available : null;
}

function smallest(...bounds: readonly (number | null)[]): number | null {
  const known = bounds.filter((bound) => bound !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function verdict(
  { peakBytes, heldBytes, longestBytes }: StepPlan,
  limits: MemoryLimits,
): Verdict {
  if (limits.longestBytes !== null && longestBytes > limits.longestBytes) return "no";
  const { totalBytes } = limits;
  if (totalBytes === null) return "unknown";
  if (peakBytes > totalBytes) return "no";
  return heldBytes > totalBytes ? "barely" : "yes";
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MiB`;

function showStanding(source: string, plan: MemoryPlan): string {
  const { parameters, optimizerBytes, restingBytes } = plan;
  return `${source}: ${parameters.toLocaleString("en")} parameters of ${
    mebibytes(4 * parameters)
  }, the optimisers' state ${mebibytes(optimizerBytes)}; ${
    mebibytes(restingBytes)
  } stay between steps`;
}

function showCapacity(
  device: DeviceName,
  { totalBytes, longestBytes }: MemoryLimits,
  freeBytes: number | null,
): string {
  const bounds = [
    totalBytes === null ? [] : `at most ${mebibytes(totalBytes)}`,
    longestBytes === null ? [] : `a tensor at most ${mebibytes(longestBytes)}`,
    device === "webgpu" ? "WebGPU does not report how much memory there is" : [],
    device === "webgpu" || freeBytes === null
      ? []
      : `this machine has ${mebibytes(freeBytes)} free`,
  ].flat();
  return [`device ${device}`, ...bounds].join(", ");
}

function showWork({ operations, movedBytes, kernels }: StepPlan): string[] {
  return [(operations / 1e9).toFixed(1), (movedBytes / 1e9).toFixed(1), String(kernels)];
}

/** One line per batch size: memory with and without recomputation, and the work without it. */
function showSteps(steps: readonly (StepPlan & { readonly fits: Verdict })[]): string[] {
  const rows = [...Map.groupBy(steps, ({ batch }) => batch)].map(([batch, both]) => [
    String(batch),
    ...both.flatMap(({ peakBytes, fits }) => [mebibytes(peakBytes), fits]),
    ...showWork(both[0]),
  ]);
  const head = ["batch", "peak", "fits", "peak, recompute", "fits", "GFLOP", "GB moved", "kernels"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length))
  );
  return [head, ...rows].map((row) =>
    row.map((cell, column) => cell.padStart(widths[column])).join("  ")
  );
}
