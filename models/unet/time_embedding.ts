/** The timestep embedding of a U-Net. */
import { silu } from "../../core/functions/elementwise.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { Module } from "../../nn/module.ts";

/** The longest wavelength, in radians⁻¹. */
const LONGEST = 10_000;

/** Cosines and sines of timesteps. With h = width/2 frequencies f = 10000^(−i/h), the cosines of time·f come first, then
 * the sines (arXiv 2105.05233, as in its code). This is not the `sinusoidal` of arXiv 2006.11239.
 * @param width even
 * @returns float32 `[times, width]`
 */
function waves(device: Device, times: ArrayLike<number>, width: number): Tensor {
  const half = width / 2;
  const values = new Float32Array(times.length * width);
  for (let row = 0; row < times.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = times[row] * LONGEST ** (-i / half);
      values[row * width + i] = Math.cos(angle);
      values[row * width + half + i] = Math.sin(angle);
    }
  }
  return device.tensor(values, [times.length, width]);
}

/** Linear(SiLU(Linear(cosines and sines of the timesteps))): `[B]` → `[B, 4·width]`. */
export class TimeEmbedding extends Module {
  /** The first linear layer, from the cosines and sines. */
  readonly linear1: Linear;
  /** The second linear layer, to the embedding. */
  readonly linear2: Linear;
  readonly #device: Device;
  readonly #width: number;

  /** Makes both layers.
   * @param width the number of cosines and sines per timestep; even
   */
  constructor(device: Device, width: number, key: RandomKey) {
    super();
    this.linear1 = new Linear(device, width, 4 * width, { key: partKey(key, 0) });
    this.linear2 = new Linear(device, 4 * width, 4 * width, { key: partKey(key, 1) });
    this.#device = device;
    this.#width = width;
  }

  /** The embeddings of timesteps: float32 `[times, 4·width]`. */
  forward(times: ArrayLike<number>): Tensor {
    const inputs = waves(this.#device, times, this.#width);
    return this.linear2.forward(silu(this.linear1.forward(inputs)));
  }
}
