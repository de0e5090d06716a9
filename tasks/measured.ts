/** The numbers that tasks report. */
import process from "node:process";
import type { CodebookReport } from "../metrics/codebook.ts";
import type { Measurements } from "../training/image_evaluation.ts";
import type { ObjectiveEvaluation } from "../objectives/objective.ts";
import type { TestNumbers } from "../objectives/protocol.ts";

/** Test numbers as people read them. */
export function showTestNumbers(numbers: TestNumbers): string[] {
  const { images, mse, psnr, usage, perplexity, protocol } = numbers;
  return [
    `test images  ${numbers.images} (protocol ${protocol})`,
    `mse          ${mse.toPrecision(5)}`,
    `PSNR         ${psnr.toFixed(2)} dB`,
    `usage        ${(100 * usage).toFixed(1)} %`,
    `perplexity   ${perplexity.toFixed(1)}`,
  ];
}

/** What an objective measured, as people read it. */
export function showEvaluation({ numbers, protocol, shown }: ObjectiveEvaluation): string[] {
  return [
    `test images  ${numbers.images} (protocol ${protocol})`,
    ...shown.map(([name, value]) => `${name.padEnd(12)} ${value}`),
  ];
}

/** Where a trace is and what opens it. */
export function showTracePath(path: string): string {
  return `the trace is in ${path}, for chrome://tracing or ui.perfetto.dev`;
}

/** What a codebook's report says besides usage and perplexity, as people read it. */
export function showCodebook({ entropyBits, dead, deadSteps }: CodebookReport): string[] {
  const ages = deadSteps === null
    ? ""
    : `, not chosen for ${deadSteps.mean.toFixed(0)} steps on average, ${deadSteps.most} at most`;
  return [
    `entropy      ${entropyBits.toFixed(2)} bits an index`,
    `dead codes   ${dead.length}${ages}`,
  ];
}

/** Measurements as people read them: each with its own protocol, since numbers of different protocols do not compare. */
export function showMeasurements({ measurements }: Pick<Measurements, "measurements">): string[] {
  const names = measurements.map(({ name }) => name.length);
  return measurements.map(({ name, value, better, decimals, protocol }) => {
    const shown = value.toFixed(decimals);
    return `${
      name.padEnd(Math.max(12, ...names))
    } ${shown}  (${better} is better, protocol ${protocol})`;
  });
}

/** The most memory that this process has held at a time, in bytes. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
