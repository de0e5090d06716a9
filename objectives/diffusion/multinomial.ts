/** Multinomial diffusion: each step replaces some codes by random ones. */
import type { RandomKey } from "../../core/random.ts";
import { partKey } from "../../nn/initializers.ts";
import { drawOf } from "../samplers/choice.ts";

/** The images whose codes are replaced. */
export interface CodeRange {
  /** How many images. */
  readonly count: number;
  /** How many codes each image has. */
  readonly length: number;
  /** The number of the first image. The draws for image i depend only on the key and on its number, first + i. */
  readonly first: number;
  /** The key of the random numbers. */
  readonly key: RandomKey;
}

/** q(x_{t−1} | x_t, x_0) as a mixture: original·onehot(x_0) + noisy·onehot(x_t) + uniform/K. */
export interface Posterior {
  /** The weight of the code without noise. */
  readonly original: number;
  /** The weight of the code after the step; 0 if it is the same code. */
  readonly noisy: number;
  /** The weight of the uniform distribution over all codes. */
  readonly uniform: number;
  /** The entropy −Σ q ln q. */
  readonly entropy: number;
}

/** Turns the codes of an image into random codes in a few steps:
 *
 *     q(x_t | x_{t−1}) = (1 − β_t)·onehot(x_{t−1}) + β_t/K    q(x_t | x_0) = ᾱ_t·onehot(x_0) + (1 − ᾱ_t)/K
 *
 * Source: arXiv 2102.05379, 4; over codes of images, in a few steps: arXiv 2108.08827. Here ᾱ_t = 1 − t/T: every step
 * replaces the same number of codes, and the codes after the last step are uniform.
 *
 * ```ts
 * import { MultinomialDiffusion, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const diffusion = new MultinomialDiffusion({ steps: 4, codebookSize: 8 });
 * assert.equal(diffusion.kept(1), 0.75);
 * const codes = Int32Array.of(5, 5, 5);
 * const range = { count: 1, length: 3, first: 0, key: randomKey(1, "noise") };
 * assert.equal(diffusion.noise(codes, 1, range).length, 3);
 * ```
 */
export class MultinomialDiffusion {
  /** T: the number of steps. */
  readonly steps: number;
  /** K: the number of codes. */
  readonly codebookSize: number;

  /** Sets the sizes. */
  constructor({ steps, codebookSize }: { readonly steps: number; readonly codebookSize: number }) {
    this.steps = steps;
    this.codebookSize = codebookSize;
  }

  /** ᾱ_t: the fraction of codes that no step up to t has replaced.
   * @param t from 0 to T
   */
  kept(t: number): number {
    return 1 - t / this.steps;
  }

  /** 1 − β_t: the fraction of codes that step t does not replace.
   * @param t from 1 to T
   */
  stays(t: number): number {
    return this.kept(t) / this.kept(t - 1);
  }

  /** The distribution of a code before step t, given the code after the step and the code without noise.
   * @param t from 1 to T
   * @param isSame whether these two codes are the same
   */
  posterior(t: number, isSame: boolean): Posterior {
    const { codebookSize: size } = this;
    const stays = this.stays(t), kept = this.kept(t - 1);
    const replaced = (1 - stays) / size, replacedBefore = (1 - kept) / size;
    // (stays·onehot(x_t) + replaced)·(kept·onehot(x_0) + replacedBefore), and its sum over the codes.
    const both = isSame ? stays * kept : 0;
    const ofNoisy = stays * replacedBefore, ofOriginal = replaced * kept;
    const ofEach = replaced * replacedBefore, total = both + ofNoisy + ofOriginal + size * ofEach;
    const uniform = size * ofEach / total;
    const noisy = isSame ? 0 : ofNoisy / total, original = 1 - noisy - uniform;
    const others = size - (isSame ? 1 : 2), each = uniform / size;
    const entropy = surprise(original + each) + (isSame ? 0 : surprise(noisy + each)) +
      others * surprise(each);
    return { original, noisy, uniform, entropy };
  }

  /** The replacement codes of step t: int32 `[count, length]`; −1 where a code stays.
   * @param t from 1 to T
   */
  replacements(t: number, { count, length, first, key }: CodeRange): Int32Array<ArrayBuffer> {
    const stays = this.stays(t), own = partKey(key, t), { codebookSize } = this;
    return Int32Array.from({ length: count * length }, (_, at) => {
      const { chance } = drawOf(own, first + Math.floor(at / length), at % length);
      if (chance < stays) return -1;
      const code = Math.floor((chance - stays) / (1 - stays) * codebookSize);
      return Math.min(code, codebookSize - 1);
    });
  }

  /** The codes after step t, given the codes before it. A negative index means no code and stays. */
  noise(codes: Int32Array, t: number, range: CodeRange): Int32Array<ArrayBuffer> {
    const replacements = this.replacements(t, range);
    return Int32Array.from(
      codes,
      (code, at) => code < 0 || replacements[at] < 0 ? code : replacements[at],
    );
  }
}

/** −p ln p. */
function surprise(p: number): number {
  return p > 0 ? -p * Math.log(p) : 0;
}
