/** How well codes are predicted, and the entropies of the code frequencies for comparison. */

import type { Device } from "../core/tensor.ts";
import type { Replicas } from "../nn/replicas.ts";

/** The codes of images and the losses of their prediction. */
export interface MeasuredCodes {
  /** `[images, positions]`: all codes; −1 where there is no code. */
  readonly codes: Int32Array;
  /** `[images, positions]`: the target codes; −1 where there is no target. */
  readonly targets: Int32Array;
  /** `[images, positions]`: −ln of the predicted probability of each target. */
  readonly losses: Float32Array;
}

/** Sums over a set of images.
 *
 * ```ts
 * import { CodeStatistics } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const statistics = new CodeStatistics(1, 2);
 * const codes = Int32Array.of(0, 1);
 * statistics.add({ codes, targets: codes, losses: Float32Array.of(0, 2 * Math.LN2) });
 * assert.ok(Math.abs(statistics.bits - 1) < 1e-6);
 * assert.equal(statistics.unigramBits, 1);
 * ```
 */
export class CodeStatistics {
  readonly #positions: number;
  readonly #codebookSize: number;
  readonly #counts: Int32Array<ArrayBuffer>;
  readonly #losses: Float64Array<ArrayBuffer>;
  readonly #targets: Float64Array<ArrayBuffer>;
  #images = 0;

  /** Starts without images.
   * @param positions the number of codes of an image
   * @param codebookSize K
   */
  constructor(positions: number, codebookSize: number) {
    this.#positions = positions;
    this.#codebookSize = codebookSize;
    this.#counts = new Int32Array(positions * codebookSize);
    this.#losses = new Float64Array(positions);
    this.#targets = new Float64Array(positions);
  }

  /** Adds some images. */
  add({ codes, targets, losses }: MeasuredCodes): void {
    this.#images += codes.length / this.#positions;
    codes.forEach((code, at) => {
      const position = at % this.#positions;
      if (code >= 0) this.#counts[position * this.#codebookSize + code]++;
      if (targets[at] < 0) return;
      this.#losses[position] += losses[at];
      this.#targets[position]++;
    });
  }

  /** Adds the images of the other processes. Afterwards all processes have the same sums. */
  async addAll(device: Device, replicas: Replicas): Promise<void> {
    if (replicas.count === 1) return;
    replicas.wait("for the measured images");
    using _scope = device.scope();
    const own = Float64Array.of(this.#images, ...this.#losses, ...this.#targets);
    const words = new Int32Array(own.buffer); // The bits of float64 values, because tensors have no float64.
    const gathered = await replicas.gather(device.tensor(words, [1, words.length])).integers();
    const all = new Float64Array(gathered.slice().buffer);
    const sums = own.map((_, at) => {
      let total = 0;
      for (let rank = 0; rank < replicas.count; rank++) total += all[rank * own.length + at];
      return total;
    });
    this.#images = sums[0];
    this.#losses.set(sums.subarray(1, 1 + this.#positions));
    this.#targets.set(sums.subarray(1 + this.#positions));
    const counts = device.tensor(this.#counts, [this.#counts.length]);
    this.#counts.set(await replicas.sum(counts).integers());
  }

  /** How many images were added. */
  get images(): number {
    return this.#images;
  }

  /** Bits per code: −log₂ of the probability of each target, the mean over all. */
  get bits(): number {
    return bitsOf(sumOf(this.#losses), sumOf(this.#targets));
  }

  /** Bits per code at each position; 0 where there was no target. */
  get bitsOfPositions(): number[] {
    return Array.from(this.#losses, (loss, position) => bitsOf(loss, this.#targets[position]));
  }

  /** The entropy of the codes' frequencies in these images, in bits. */
  get unigramBits(): number {
    return this.#entropyOf(0, this.#positions);
  }

  /** Bits per code of consecutive ranges of positions.
   * @param lengths the lengths of the ranges, in positions
   */
  bitsOfParts(lengths: readonly number[]): number[] {
    return partsOf(
      lengths,
      ([start, end]) =>
        bitsOf(sumOf(this.#losses.slice(start, end)), sumOf(this.#targets.slice(start, end))),
    );
  }

  /** The entropies of the code frequencies in consecutive ranges of positions, in bits.
   * @param lengths the lengths of the ranges, in positions
   */
  unigramBitsOfParts(lengths: readonly number[]): number[] {
    return partsOf(lengths, ([start, end]) => this.#entropyOf(start, end));
  }

  /** The entropy of the code frequencies at a position, in bits: the mean over the positions. */
  get positionBits(): number {
    const entropies = Array.from(
      { length: this.#positions },
      (_, position) => this.#entropyOf(position, position + 1),
    );
    return entropies.reduce((a, b) => a + b) / entropies.length;
  }

  /** The entropy of the code frequencies at the positions from `start` to before `end`. */
  #entropyOf(start: number, end: number): number {
    const counts = new Float64Array(this.#codebookSize);
    this.#counts.subarray(start * this.#codebookSize, end * this.#codebookSize)
      .forEach((count, at) => counts[at % this.#codebookSize] += count);
    return entropyOf(counts);
  }
}

/** The values of a function for each range of positions. */
function partsOf(
  lengths: readonly number[],
  valueOf: (part: readonly [start: number, end: number]) => number,
): number[] {
  let start = 0;
  return lengths.map((length) => valueOf([start, start += length]));
}

function sumOf(values: Float64Array): number {
  return values.reduce((a, b) => a + b, 0);
}

function bitsOf(loss: number, targets: number): number {
  return loss / Math.max(targets, 1) / Math.LN2;
}

/** −Σ p log₂ p of the frequencies. */
function entropyOf(counts: Float64Array): number {
  let total = 0, sum = 0;
  for (const count of counts) total += count;
  for (const count of counts) if (count > 0) sum -= count / total * Math.log2(count / total);
  return sum;
}
