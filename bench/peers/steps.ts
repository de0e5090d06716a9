/** The compared training steps of the small VQ-VAE. */

/** A training step. */
export interface Step {
  /** The quantiser: the clustered one takes the cosine, the plain one l2. */
  readonly quantizer: "clustered" | "vanilla";
  /** Images per batch. */
  readonly batch: number;
  /** The side of the square images, and their channels. */
  readonly image: readonly [side: number, channels: number];
  /** The number of measured steps, of which the fastest is reported. */
  readonly runs: number;
  /** PyTorch's time divided by ours with libraries that is aimed at. */
  readonly bound: number;
}

/** All of them. */
export const STEPS: readonly Step[] = [
  { quantizer: "clustered", batch: 128, image: [28, 1], runs: 5, bound: 2.2 },
  { quantizer: "vanilla", batch: 128, image: [28, 1], runs: 5, bound: 1.5 },
  { quantizer: "clustered", batch: 1024, image: [28, 1], runs: 2, bound: 2.2 },
  { quantizer: "vanilla", batch: 1024, image: [28, 1], runs: 2, bound: 1.5 },
  { quantizer: "clustered", batch: 8, image: [256, 3], runs: 3, bound: 1.3 },
];

/** The name of a step in the tables, which pytorch_step.py prints, too. */
export function vqvaeWork({ quantizer, batch, image: [side, channels] }: Step): string {
  return `step, ${quantizer}, batch ${batch} of ${side}x${side}x${channels}`;
}
