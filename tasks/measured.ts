/** The numbers that tasks report. */
import process from "node:process";
import type { Dataset } from "../data/dataset.ts";
import type { Evaluation } from "../training/evaluation.ts";
import { evaluationProtocol, protocolHash } from "../training/protocol.ts";

/** What was measured on the test images, with the protocol by which. */
export interface TestNumbers extends Omit<Evaluation, "counts"> {
  /** The protocol's hash. */
  readonly protocol: string;
}

/** An evaluation on a data set's test images, as it is reported. */
export async function testNumbers(
  { counts: _, ...numbers }: Evaluation,
  dataset: Dataset,
): Promise<TestNumbers> {
  return { ...numbers, protocol: await protocolHash(evaluationProtocol(dataset)) };
}

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

/** The most memory that this process has held at a time, in bytes. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
