/** Embeddings of indices, and sinusoidal embeddings of timesteps. */
import { parameter } from "../core/execute.ts";
import { normal } from "../core/functions/creation.ts";
import { gather } from "../core/functions/indexing.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Layer } from "./module.ts";

/** Options of an embedding. */
export interface EmbeddingOptions {
  /** The random key of the initial values. */
  readonly key: RandomKey;
  /** Their standard deviation; by default 1 (PyTorch's). */
  readonly deviation?: number;
}

/** A learned vector for each index.
 *
 * ```ts
 * import { Embedding, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Embedding(device, 10, 4, { key: randomKey(1, "embedding") });
 * assert.deepEqual(layer.forward(device.tensor(Int32Array.of(3, 3, 7), [3])).shape, [3, 4]);
 * ```
 */
export class Embedding extends Layer {
  /** `[count, width]`. */
  readonly weight: Tensor;

  /** Makes the vectors, with normal initial values of mean 0.
   * @param count the number of indices
   * @param width the length of a vector
   */
  constructor(device: Device, count: number, width: number, options: EmbeddingOptions) {
    super();
    const { key, deviation = 1 } = options;
    this.weight = parameter(normal(device, [count, width], key, 0, deviation));
  }

  /** int32 `[...]` in [0, count) → `[..., width]`; zeros for an index out of range. */
  forward(indices: Tensor): Tensor {
    return gather(this.weight, indices);
  }
}

/** The longest wavelength of a timestep embedding, divided by 2π (arXiv 1706.03762, 3.5). */
const LONGEST = 10_000;

/** Sinusoidal embeddings of timesteps, which tell a diffusion model the noise level.
 *
 * Source: arXiv 2006.11239, as in its code: with h = ⌊width/2⌋ frequencies f = 10000^(−i/(h − 1)), the sines of time·f,
 * then their cosines, then 0 if the width is odd.
 *
 * ```ts
 * import { openDevice, sinusoidal } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * assert.deepEqual([...await sinusoidal(device, [0], 5).floats()], [0, 0, 1, 1, 0]);
 * ```
 * @param times any numbers, such as diffusion steps
 * @returns float32 `[times, width]`
 */
export function sinusoidal(device: Device, times: ArrayLike<number>, width: number): Tensor {
  const half = Math.floor(width / 2);
  const values = new Float32Array(times.length * width);
  for (let row = 0; row < times.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = times[row] * LONGEST ** (-i / Math.max(half - 1, 1));
      values[row * width + i] = Math.sin(angle);
      values[row * width + half + i] = Math.cos(angle);
    }
  }
  return device.tensor(values, [times.length, width]);
}
