/** The evaluation of a generator of codes: bits per code beside the entropies of the code frequencies. */
import type { Shape } from "../core/shape.ts";
import type { CodeStatistics } from "./code_statistics.ts";
import type { ObjectiveEvaluation } from "./objective.ts";
import { type MeasuredImages, protocolHash } from "./protocol.ts";

/** The measured images and their codes. */
export interface MeasuredCodeImages extends MeasuredImages {
  /** The shape of an image's codes. */
  readonly codeShape: Shape;
  /** K. */
  readonly codebookSize: number;
}

/** The protocol of bits per code. */
interface CodesProtocol extends MeasuredCodeImages {
  readonly metrics: Readonly<Record<string, string>>;
}

/** What was measured. */
export interface CodeMeasurement {
  /** The measure: its name, and its definition in words. */
  readonly measure: readonly [name: string, description: string];
  /** The images, in the fields of a protocol. */
  readonly measured: MeasuredCodeImages;
  /** Measures for every position, by name. */
  readonly series: Readonly<Record<string, readonly number[]>>;
}

/** The numbers of an evaluation, with their protocol.
 * @throws {RangeError} no image was measured
 */
export async function codeEvaluation(
  { images, bits, unigramBits, positionBits }: CodeStatistics,
  { measure: [name, description], measured, series }: CodeMeasurement,
): Promise<ObjectiveEvaluation> {
  if (images === 0) throw new RangeError("Cannot evaluate: there must be a batch, got none");
  const protocol: CodesProtocol = {
    ...measured,
    metrics: {
      [name]: description,
      unigramBits: "entropy in bits of the codes' frequencies in these images",
      positionBits:
        "entropy in bits of the codes' frequencies at each position in these images, the mean over the positions",
    },
  };
  const hash = await protocolHash(protocol);
  return {
    numbers: { images, [name]: bits, unigramBits, positionBits },
    series,
    protocol: hash,
    rankBy: name,
    better: "lower",
    protocols: { [hash]: protocol },
    shown: [
      ["bits per code", bits.toFixed(3)],
      ["by frequency", unigramBits.toFixed(2)],
      ["and position", positionBits.toFixed(2)],
    ],
  };
}
