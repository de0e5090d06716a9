/** The numbers that tasks report. */
import process from "node:process";
import type { CodebookReport } from "../metrics/codebook.ts";
import { greatestOf } from "../core/extremes.ts";
import { fromJsonNumber, type JsonNumber } from "../files/json_number.ts";
import type { Measurements } from "../training/image_evaluation.ts";
import type { ObjectiveEvaluation } from "../objectives/objective.ts";
import { remarksOn, type TestNumbers } from "../objectives/protocol.ts";

/** Formats test numbers. */
export function showTestNumbers(numbers: TestNumbers): string[] {
  const { images, equalImages, mse, psnr, psnrOfMse, usage, perplexity, protocol } = numbers;
  const equal = equalImages === 0 ? "" : ` but ${equalImages} that are equal`;
  return [
    `test images  ${images} (protocol ${protocol})`,
    `mse          ${mse.toPrecision(5)}  (unclipped)`,
    `PSNR         ${showDecibels(psnr)}  (unclipped, mean over images${equal})`,
    `PSNR of mse  ${showDecibels(psnrOfMse)}  (unclipped, of the mean mse)`,
    `usage        ${(100 * usage).toFixed(1)} %`,
    `perplexity   ${perplexity.toFixed(1)}`,
  ];
}

/** Formats the measurements of an objective. */
export function showEvaluation({ numbers, protocol, shown }: ObjectiveEvaluation): string[] {
  return [
    `test images  ${numbers.images} (protocol ${protocol})`,
    ...shown.map(([name, value]) => `${name.padEnd(12)} ${value}`),
  ];
}

function showDecibels(value: JsonNumber): string {
  return `${fromJsonNumber(value).toFixed(2)} dB`;
}

/** Describes where a trace is and what opens it. */
export function showTracePath(path: string): string {
  return `the trace is in ${path}, for chrome://tracing or ui.perfetto.dev`;
}

/** Formats a codebook's report without usage and perplexity. */
export function showCodebook({ entropyBits, dead, deadSteps }: CodebookReport): string[] {
  const ages = deadSteps === null
    ? ""
    : `, not chosen for ${deadSteps.mean.toFixed(0)} steps on average, ${deadSteps.most} at most`;
  return [
    `entropy      ${entropyBits.toFixed(2)} bits per index`,
    `dead codes   ${dead.length}${ages}`,
  ];
}

/** Formats measurements, each with its own protocol, because numbers of different protocols are not comparable; then
 * the metrics that were not measured. */
export function showMeasurements(
  { measurements, unmeasured }: Pick<Measurements, "measurements" | "unmeasured">,
): string[] {
  const names = [
    ...measurements.map(({ name }) => name),
    ...unmeasured.map(({ metric }) => metric),
  ];
  const width = greatestOf([12, ...names.map(({ length }) => length)]);
  return [
    ...measurements.map((one) => {
      const { name, value, better, decimals, protocol } = one;
      const about = [`${better} is better, protocol ${protocol}`, ...remarksOn(one)].join("; ");
      return `${name.padEnd(width)} ${value.toFixed(decimals)}  (${about})`;
    }),
    ...unmeasured.map(({ metric, reason }) => `${metric.padEnd(width)} not measured: ${reason}`),
  ];
}

/** The peak memory of this process, in bytes. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
