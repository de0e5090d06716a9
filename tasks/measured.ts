/** The numbers that tasks report. */
import process from "node:process";
import type { TestNumbers } from "../training/protocol.ts";

/** Test numbers as people read them. */
export function showTestNumbers(numbers: TestNumbers): string[] {
  const { images, mse, psnr, usage, perplexity, protocol } = numbers;
  return [
    `test images  ${images} (protocol ${protocol})`,
    `mse          ${mse.toPrecision(5)}`,
    `PSNR         ${psnr.toFixed(2)} dB`,
    `usage        ${(100 * usage).toFixed(1)} %`,
    `perplexity   ${perplexity.toFixed(1)}`,
  ];
}

/** Where a trace is and what opens it. */
export function showTracePath(path: string): string {
  return `the trace is in ${path}, for chrome://tracing or ui.perfetto.dev`;
}

/** The most memory that this process has held at a time, in bytes. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
