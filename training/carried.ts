/** What a run carries from step to step besides the model: sums of the epoch so far, and the best epoch. */

/** The scalars that a step gives: the loss; the mse; the sum of the quantiser's losses; the mean length of the features;
 * the share of the codes that were moved outside of the gradient (by re-anchoring or replacement, each by its share of
 * the way). */
export const SCALAR_NAMES = ["loss", "mse", "quantizerLoss", "featureLength", "moved"] as const;

/** The name of one. */
export type ScalarName = typeof SCALAR_NAMES[number];

/** The scalars of one step, on the host. */
export type StepScalars = Readonly<Record<ScalarName, number>>;

/** The state of the host's bookkeeping; plain JSON, saved with every checkpoint. */
export interface Carried {
  /** Steps summed since the epoch began. */
  steps: number;
  /** Sums over those steps. */
  sums: Record<ScalarName, number>;
  /** The lowest test mse so far and its epoch. */
  best: { readonly epoch: number; readonly mse: number } | null;
}

/** Bookkeeping at the start of a run. */
export function freshCarried(): Carried {
  const sums = { loss: 0, mse: 0, quantizerLoss: 0, featureLength: 0, moved: 0 };
  return { steps: 0, sums, best: null };
}

/** Means over the epoch so far. */
export function epochMeans({ steps, sums }: Carried): Record<ScalarName, number> {
  const means = SCALAR_NAMES.map((name) => [name, sums[name] / steps]);
  return Object.fromEntries(means) as Record<ScalarName, number>;
}

/** A value that is no longer finite stops the run: the step, what broke, and what to do. */
export class DivergedError extends Error {
  /** Names the step, counted from 1, and the loss or the part of the state. */
  constructor(step: number, name: string, value: number, checkpoint: string) {
    super(
      `Cannot go on training: every loss and parameter must be finite, got ${name} ${value} at step ${step}; ` +
        `the last good checkpoint is ${checkpoint}; try a lower --optimizer.learningRate or --optimizer.clipNorm 1`,
    );
    this.name = "DivergedError";
  }
}
