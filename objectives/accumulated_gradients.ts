/** The gradients of a reconstruction step, computed in parts of the batch. This takes less memory and gives the same
 * result as the whole batch at once. */
import { backward, detach, parameter, withoutGradients } from "../core/execute.ts";
import { full } from "../core/functions/creation.ts";
import { add, mul } from "../core/functions/elementwise.ts";
import { concatenate, slice } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Scope, Tensor } from "../core/tensor.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import { meanSquaredError } from "../nn/losses.ts";
import { meanOverRanks, SINGLE } from "../nn/replicas.ts";
import type { QuantizeContext } from "../quantizers/quantizer.ts";
import type { TrainingPass } from "./training_pass.ts";

/** The results of a step's forward and backward pass. */
export interface PassWithGradients extends Omit<TrainingPass, "reconstruction"> {
  /** The loss, a scalar. */
  readonly loss: Tensor;
  /** The gradient of each parameter of the model, in the order of the parameters. */
  readonly gradients: readonly Tensor[];
}

/** Options of `accumulatedGradients`. */
export interface AccumulationOptions {
  /** The model. */
  readonly model: Autoencoder;
  /** v: the variance of the training images on the [0, 1] scale. */
  readonly variance: number;
  /** How many parts the encoder and the decoder split the batch into. */
  readonly parts: number;
}

/** Computes the gradients of the loss of a whole batch. The encoder and the decoder process the batch part by part. The
 * quantiser gets all features at once, so usage, statistics and losses are those of the whole batch, for every method.
 * The encoder and the decoder run twice: once for the values, once for the gradients.
 * @param images float32 `[B, H, W, C]`; the parts must divide B
 * @param scope the scope of the step; the results outlive it
 */
export function accumulatedGradients(
  images: Tensor,
  context: QuantizeContext,
  { model, variance, parts }: AccumulationOptions,
  scope: Scope,
): PassWithGradients {
  const { device } = images;
  const { quantizer } = model;
  const parameters = model.parameters();
  const totals = parameters.map(({ shape }) => full(device, shape, 0));
  const accumulate = (gradients: readonly Tensor[]) =>
    gradients.forEach((gradient, index) => {
      const before = totals[index];
      totals[index] = scope.keep(add(before, gradient));
      before.dispose();
    });

  device.phase("forward");
  const features = encodeParts(images, context, model, parts);
  quantizer.begin(features, context);
  const leaf = parameter(detach(features));
  const quantized = quantizer.quantize(leaf, context);
  const quantizerLoss = Object.values(quantized.losses).reduce(add, full(device, [], 0));
  const own = decodeParts(images, quantized.quantized, context, model, parts);
  const mse = parameter(meanOverRanks(own, context.replicas ?? SINGLE));
  const imageSize = images.size / images.shape[0];
  const fidelity = quantizer.reconstructionLoss(mse, { variance, imageSize });
  const loss = add(fidelity, quantizerLoss);

  device.phase("backward");
  const [byError] = backward(fidelity, [mse]);
  const byCodes: Tensor[] = [];
  for (let at = 0; at < parts; at++) {
    using part = device.scope();
    const codes = parameter(partOf(detach(quantized.quantized), at, parts));
    const error = meanSquaredError(model.decode(codes, context), partOf(images, at, parts));
    const [gradient, ...rest] = backward(mul(error, mul(byError, 1 / parts)), [
      codes,
      ...parameters,
    ], { spent: part });
    accumulate(rest);
    byCodes.push(part.keep(gradient));
  }
  const passed = sum(mul(quantized.quantized, joined(byCodes)));
  const [byFeatures, ...ofQuantizer] = backward(add(loss, passed), [leaf, ...parameters]);
  accumulate(ofQuantizer);
  for (let at = 0; at < parts; at++) {
    using part = device.scope();
    const own = model.encode(partOf(images, at, parts), context);
    const surrogate = sum(mul(own, partOf(byFeatures, at, parts)));
    accumulate(backward(surrogate, parameters, { spent: part }));
  }
  const { quantized: codes, indices, usage, losses } = quantized;
  const kept = [loss, mse, quantizerLoss, features, codes, indices, usage];
  for (const tensor of [...kept, ...Object.values(losses)]) scope.keep(tensor);
  return { loss, mse, quantizerLoss, features, quantized, gradients: totals };
}

/** Part `at` of `parts` equal parts along the first axis. */
function partOf(x: Tensor, at: number, parts: number): Tensor {
  const [batch, ...rest] = x.shape;
  const size = batch / parts;
  return slice(x, [at * size, ...rest.map(() => 0)], [size, ...rest]);
}

function joined(parts: readonly Tensor[]): Tensor {
  const [first, ...rest] = parts;
  return concatenate([first, ...rest]);
}

function encodeParts(
  images: Tensor,
  context: QuantizeContext,
  model: Autoencoder,
  parts: number,
): Tensor {
  return withoutGradients(() =>
    joined(
      Array.from({ length: parts }, (_, at) => {
        using scope = images.device.scope();
        return scope.keep(model.encode(partOf(images, at, parts), context));
      }),
    )
  );
}

/** The mean squared error of the whole batch. */
function decodeParts(
  images: Tensor,
  codes: Tensor,
  context: QuantizeContext,
  model: Autoencoder,
  parts: number,
): Tensor {
  return withoutGradients(() => {
    const errors = Array.from({ length: parts }, (_, at) => {
      using scope = images.device.scope();
      const rebuilt = model.decode(partOf(detach(codes), at, parts), context);
      return scope.keep(meanSquaredError(rebuilt, partOf(images, at, parts)));
    });
    return mul(errors.reduce(add), 1 / parts);
  });
}
