/** The error of a run that diverged. */

/** A value is no longer finite, which stops the run. The message contains the step, the name of the value, and what to
 * do. */
export class DivergedError extends Error {
  /** Creates the error from the step, counted from 1, and the loss or state entry that is not finite. */
  constructor(step: number, name: string, value: number, checkpoint: string) {
    super(
      `Cannot continue training: every loss and parameter must be finite, got ${name} ${value} at step ${step}; ` +
        `the last good checkpoint is ${checkpoint}; try a lower --optimizer.learningRate or --optimizer.clipNorm 1`,
    );
    this.name = "DivergedError";
  }
}
