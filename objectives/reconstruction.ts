/** Reconstruction: a first stage learns to reconstruct its images (arXiv 1711.00937). */
import type { Device, Tensor } from "../core/tensor.ts";
import { FirstStageObjective, type FirstStageOptions } from "./first_stage.ts";
import type { StepContext, TrainingBatch } from "./objective.ts";
import { STEP_SCALARS, trainingStep } from "./training_step.ts";

/** Options of the constructor. */
export type ReconstructionOptions = FirstStageOptions;

/** Minimises mse/v plus the quantiser's losses, where v is the variance of the training images on the [0, 1] scale. A
 * step is `trainingStep`.
 *
 * Run each step in a scope, so that its memory is recycled:
 *
 * ```ts
 * import {
 *   Adam, ClusteredQuantizer, memoryDataset, openDevice, randomKey, ReconstructionObjective, uniform, VQVAE,
 * } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "example");
 * const quantizer = new ClusteredQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = uniform(device, [2, 8, 8, 1], key, -1, 1);
 * const train = await images.floats();
 * const objective = new ReconstructionObjective(device, {
 *   model,
 *   optimizer: new Adam(model.namedParameters()),
 *   dataset: memoryDataset({ name: "noise", imageShape: [8, 8, 1], train, test: train }),
 *   stepsPerEpoch: 1,
 *   learningRate: () => 3e-4,
 * });
 * for (let step = 0; step < 2; step++) {
 *   using _scope = device.scope();
 *   const context = { training: true, key: { ...key, step }, step };
 *   const { loss } = objective.step({ images }, context);
 *   console.log(await loss.item());
 * }
 * ```
 */
export class ReconstructionObjective extends FirstStageObjective {
  /** The names of the scalars. */
  readonly scalars: readonly string[] = STEP_SCALARS;
  readonly #options: ReconstructionOptions;

  /** Makes the objective for a model and its optimiser. */
  constructor(device: Device, options: ReconstructionOptions) {
    super(device, options);
    this.#options = options;
  }

  /** Makes a training step. */
  step(
    { images }: TrainingBatch,
    { step, ...context }: StepContext,
  ): Readonly<Record<string, Tensor>> {
    const { model, optimizer } = this;
    const { dataset, learningRate, clipNorm, accumulate } = this.#options;
    const { scalars, usage } = trainingStep(images, context, {
      model,
      optimizer,
      variance: dataset.variance,
      learningRate: learningRate(step),
      clipNorm,
      parts: accumulate,
    });
    this.codebook.add(usage);
    return scalars;
  }
}
