/** Records intermediate images of a generator, step by step. */

/** Collects intermediate images of a generator's first batch. A diffusion gives the images that the network predicts. A
 * generator of codes gives the codes drawn so far as an image, with the rest in grey. Pass it in a `GenerateRequest`.
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
  /** The images after some of the steps, `[count, height, width, channels]` each. The last frame holds the finished
   * images. */
  readonly frames: Float32Array<ArrayBuffer>[] = [];
  readonly #most: number;

  /** Collects frames at even distances.
   * @param most the largest number of frames; with fewer steps there are fewer frames
   */
  constructor(most = 60) {
    this.#most = most;
  }

  /** Adds a frame, if the progress since the last frame is large enough.
   * @param share the finished fraction of the work
   * @param images makes the frame; called only if a frame is added
   */
  async add(
    share: number,
    images: () => Promise<Float32Array<ArrayBuffer>> | Float32Array<ArrayBuffer>,
  ): Promise<void> {
    const next = (this.frames.length + 1) / this.#most;
    if (share >= next || share === 1) this.frames.push(await images());
  }
}
