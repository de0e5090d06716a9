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

/** What a step works on. */
export interface StepOptions {
  /** The model. */
  readonly model: Autoencoder;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  /** v: the variance of the training images on the [0, 1] scale. */
  readonly variance: number;
  /** Of this step. */
  readonly learningRate: number;
  /** Largest norm of all gradients together; none by default. */
  readonly clipNorm?: number;
  /** In how many parts the encoder and the decoder see the batch, for less memory; 1. The result is that of the whole batch,
   * but for rounding. */
  readonly parts?: number;
}

/** The scalars that a step gives, means over the batch or over a rank's part of it: the loss; the mse; the sum of the quantiser's losses; the mean length of the features;
 * the share of the codes that were moved outside of the gradient (by re-anchoring or replacement, each by its share of
 * the way). */
export const STEP_SCALARS = ["loss", "mse", "quantizerLoss", "featureLength", "moved"] as const;

/** What a step gives: scalars on the device, and the codes' counts. */
export interface StepResult {
  /** Of the step, each a scalar. */
  readonly scalars: Readonly<Record<typeof STEP_SCALARS[number], Tensor>>;
  /** int32 `[K]`: how often each code was chosen in the batch, by all ranks together. */
  readonly usage: Tensor;
}

/** One training step: the quantiser's `begin`; loss = mse/v + its losses; the gradients; its `update`, after
 * which gradients and moments of codes that are no more are dropped; the optimiser's step, by the mean of the gradients of
 * all ranks. Nothing is read back. What the
 * forward pass made is recycled on the way back, but for the results and what `update` is handed.
 *
 * Run it in a scope, so that what it makes is recycled:
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

/** The forward and the backward pass over a batch at once. */
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
 * @param scope what the step's results and the quantiser's `update` need is kept beyond it
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

/** What a training step does once it has the gradients: the quantiser's `update`, then the optimiser's step.
 * @param scope what is returned is kept beyond it
 * @param step steps the parameters; it is handed the codes whose gradients and moments are to be dropped
 * @returns the mean length of the features, and the share of the codes that were moved
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

/** The share of the codes that were moved: the mean over the codes that may be; 0 where none may. */
function movedShare(device: Device, moves: readonly Move[]): Tensor {
  const codebooks = new Set(moves.map(({ codes }) => codes));
  const size = [...codebooks].reduce((total, { shape }) => total + shape[0], 0);
  const moved = moves.map(({ share }) => sum(share)).reduce(add, full(device, [], 0));
  return mul(moved, 1 / Math.max(size, 1));
}
