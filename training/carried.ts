/** What a run carries from step to step besides the model: sums of the epoch so far, and the best epoch. */

/** The names of the scalars that a step gives. */
export type ScalarName = "loss" | "mse" | "quantizerLoss";

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
  return { steps: 0, sums: { loss: 0, mse: 0, quantizerLoss: 0 }, best: null };
}

/** Means over the epoch so far. */
export function epochMeans({ steps, sums }: Carried): Record<ScalarName, number> {
  const { loss, mse, quantizerLoss } = sums;
  return { loss: loss / steps, mse: mse / steps, quantizerLoss: quantizerLoss / steps };
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
