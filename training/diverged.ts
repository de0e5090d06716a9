/** A run that cannot go on. */

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
