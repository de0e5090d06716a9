/** One step of training. */
import { backward, withoutGradients } from "../core/execute.ts";
import { full } from "../core/functions/creation.ts";
import { add, mul } from "../core/functions/elementwise.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Device, Scope, Tensor } from "../core/tensor.ts";
import { meanSquaredError } from "../nn/losses.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import { meanOverRanks, SINGLE } from "../nn/replicas.ts";
import { Update } from "../nn/update.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import type { Move, QuantizeContext } from "../quantizers/quantizer.ts";
import { accumulatedGradients, type PassWithGradients } from "./accumulated_gradients.ts";
import { meanLength } from "./codebook_watch.ts";
import type { TrainingPass } from "./training_pass.ts";

/** Options of `trainingStep`. */
export interface StepOptions {
  /** The model. */
  readonly model: Autoencoder;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  /** v: the variance of the training images on the [0, 1] scale. */
  readonly variance: number;
  /** The learning rate of this step. */
  readonly learningRate: number;
  /** The maximum global norm of the gradients; by default gradients are not clipped. */
  readonly clipNorm?: number;
  /** How many parts the encoder and the decoder split the batch into, to save memory; by default 1. Except for
   * rounding, the result is that of the whole batch. */
  readonly parts?: number;
}

/** The scalars that a step returns, means over the batch or over a rank's part of it: the loss; the mse; the sum of the
 * quantiser's losses; the mean length of the features; and the fraction of codes that `update` moved directly
 * (re-anchoring or replacement, each counted by how far the code moved). */
export const STEP_SCALARS = ["loss", "mse", "quantizerLoss", "featureLength", "moved"] as const;

/** The result of a step: scalars on the device, and the counts of the codes. */
export interface StepResult {
  /** The scalars of the step. */
  readonly scalars: Readonly<Record<typeof STEP_SCALARS[number], Tensor>>;
  /** int32 `[K]`: how often each code was chosen in the batch, on all ranks together. */
  readonly usage: Tensor;
}

/** Makes one training step: the quantiser's `begin`; loss = mse/v + the quantiser's losses; the gradients; the
 * quantiser's `update`, after which the gradients and moments of replaced codes are dropped; the optimiser's step, with
 * the mean of the gradients of all ranks. It reads nothing back from the device. The backward pass recycles the values
 * of the forward pass, except for the results and the input of `update`.
 *
 * Run each step in a scope, so that its memory is recycled:
 *
 * ```ts
 * import {
 *   Adam, ClusteredQuantizer, openDevice, randomKey, trainingStep, uniform, VQVAE,
 * } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "example");
 * const quantizer = new ClusteredQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const optimizer = new Adam(model.namedParameters());
 * const images = uniform(device, [2, 8, 8, 1], key, -1, 1);
 * for (let step = 0; step < 2; step++) {
 *   using _scope = device.scope();
 *   const context = { training: true, key: { ...key, step } };
 *   const options = { model, optimizer, variance: 0.1, learningRate: 3e-4 };
 *   const { scalars } = trainingStep(images, context, options);
 *   console.log(await scalars.loss.item());
 * }
 * ```
 * @param images float32 `[B, H, W, C]` in [−1, 1]
 */
export function trainingStep(
  images: Tensor,
  context: QuantizeContext,
  { model, optimizer, variance, learningRate, clipNorm, parts = 1 }: StepOptions,
): StepResult {
  using scope = images.device.scope();
  const update = new Update(model.parameters(), optimizer, {
    learningRate: () => learningRate,
    clipNorm,
  });
  const pass = parts === 1
    ? wholePass(images, context, model, variance, scope)
    : accumulatedGradients(images, context, { model, variance, parts }, scope);
  const { loss, mse, quantizerLoss, quantized, gradients } = pass;
  const measured = updateModel(model, pass, context, scope, (moves) => {
    update.step(gradients, 0, moves, context.replicas);
  });
  return {
    scalars: { loss, mse, quantizerLoss, ...measured },
    usage: scope.keep((context.replicas ?? SINGLE).sum(quantized.usage)),
  };
}

/** The forward and the backward pass over the whole batch. */
function wholePass(
  images: Tensor,
  context: QuantizeContext,
  model: Autoencoder,
  variance: number,
  scope: Scope,
): PassWithGradients {
  const pass = forwardInTraining(model, images, context, scope);
  const mse = scope.keep(meanOverRanks(pass.mse, context.replicas ?? SINGLE));
  const imageSize = images.size / images.shape[0];
  const fidelity = model.quantizer.reconstructionLoss(mse, { variance, imageSize });
  const loss = scope.keep(add(fidelity, pass.quantizerLoss));
  images.device.phase("backward");
  return { ...pass, mse, loss, gradients: backward(loss, model.parameters(), { spent: scope }) };
}

/** The forward pass of a training step: the quantiser's `begin`, then the reconstruction.
 * @param scope the scope of the step; the step's results and the input of `update` outlive it
 */
export function forwardInTraining(
  model: Autoencoder,
  images: Tensor,
  context: QuantizeContext,
  scope: Scope,
): TrainingPass {
  const { device } = images;
  device.phase("forward");
  const features = model.encode(images, context);
  model.quantizer.begin(features, context);
  const { reconstruction, quantized } = model.rebuild(features, context);
  const mse = meanSquaredError(reconstruction, images);
  const none = full(device, [], 0);
  const quantizerLoss = Object.values(quantized.losses).reduce(add, none);
  const { quantized: codes, indices, usage, losses } = quantized;
  const needed = [mse, quantizerLoss, features, codes, indices, usage];
  for (const tensor of [...needed, ...Object.values(losses)]) scope.keep(tensor);
  return { features, reconstruction, quantized, mse, quantizerLoss };
}

/** The part of a training step after the gradients: the quantiser's `update`, then the optimiser's step.
 * @param scope the scope of the step; the results outlive it
 * @param step updates the parameters; it gets the codes whose gradients and moments are to be dropped
 * @returns the mean length of the features, and the fraction of codes that were moved
 */
export function updateModel(
  { quantizer }: Autoencoder,
  { features, quantized }: Pick<TrainingPass, "features" | "quantized">,
  context: QuantizeContext,
  scope: Scope,
  step: (moves: readonly Move[]) => void,
): { readonly featureLength: Tensor; readonly moved: Tensor } {
  const { device } = features;
  return withoutGradients(() => {
    device.phase("update");
    const featureLength = scope.keep(meanLength(quantizer.compared(features, context)));
    const moves = quantizer.update({ features, ...quantized }, context);
    device.phase("optimizer");
    step(moves.filter(({ forgets }) => forgets));
    return { featureLength, moved: scope.keep(movedShare(device, moves)) };
  });
}

/** The fraction of codes that moved: the mean over the codes that can move; 0 if none can. */
function movedShare(device: Device, moves: readonly Move[]): Tensor {
  const codebooks = new Set(moves.map(({ codes }) => codes));
  const size = [...codebooks].reduce((total, { shape }) => total + shape[0], 0);
  const moved = moves.map(({ share }) => sum(share)).reduce(add, full(device, [], 0));
  return mul(moved, 1 / Math.max(size, 1));
}
