/** How images come about, step by step. */

/** Collects what a generator's first batch looks like on the way: of a diffusion the images that the network sees, of a
 * generator of codes what is drawn so far, the rest grey. It is asked for in a `GenerateRequest`.
 *
 * ```ts
 * import { Trace } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const trace = new Trace(2);
 * for (const step of [1, 2, 3, 4]) await trace.add(step / 4, () => Float32Array.of(step));
 * assert.deepEqual(trace.frames.map(([step]) => step), [2, 4]);
 * ```
 */
export class Trace {
  /** The images after some of the steps, `[count, height, width, channels]` each; the last are the finished ones. */
  readonly frames: Float32Array<ArrayBuffer>[] = [];
  readonly #most: number;

  /** Collects frames that lie evenly over the way.
   * @param most how many at most; fewer where there are fewer steps
   */
  constructor(most = 60) {
    this.#most = most;
  }

  /** Adds a frame, where the way has come far enough for one more.
   * @param share of the way that is done
   * @param images makes the frame; called only where there is one
   */
  async add(
    share: number,
    images: () => Promise<Float32Array<ArrayBuffer>> | Float32Array<ArrayBuffer>,
  ): Promise<void> {
    const next = (this.frames.length + 1) / this.#most;
    if (share >= next || share === 1) this.frames.push(await images());
  }
}
