/** Measures a model over a whole set. */
import { withoutGradients } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { add } from "../core/functions/elementwise.ts";
import { concatenate } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Batch } from "../data/batches.ts";
import type { Precision } from "../core/precision.ts";
import { codebookUse } from "../metrics/codebook.ts";
import { PsnrSums } from "../metrics/psnr.ts";
import { imageErrors } from "../metrics/reconstruction.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import type { Autoencoder, Reconstruction } from "../models/autoencoder.ts";
import { inOrder, type MeasuredBatch } from "./measured_parts.ts";

/** The measures of a model on a set of images. */
export interface Evaluation {
  /** How many images were measured. */
  readonly images: number;
  /** Mean squared error over all pixels of images in [−1, 1]; nothing is clipped or rounded. */
  readonly mse: number;
  /** How many images were reconstructed exactly. */
  readonly equalImages: number;
  /** Peak signal-to-noise ratio in dB, with range 2: the mean over the images that differ from their reconstructions;
   * infinite if none differs. */
  readonly psnr: number;
  /** The peak signal-to-noise ratio of the mean squared error over all images. */
  readonly psnrOfMse: number;
  /** The fraction of codes chosen at least once over the set, in [0, 1]. */
  readonly usage: number;
  /** The perplexity of the counts of the whole set, in [1, K]. */
  readonly perplexity: number;
  /** How often each code was chosen, `[K]`. */
  readonly counts: Int32Array;
  /** The precision of the model's layers: that of the device. */
  readonly precision: Precision;
}

/** A batch and its reconstruction, while they are on the device. */
export interface EvaluatedBatch extends Reconstruction {
  /** The values of `[count, height, width, channels]` in [−1, 1]. */
  readonly originals: Float32Array<ArrayBuffer>;
  /** The originals as a tensor on the device. */
  readonly originalTensor: Tensor;
  /** The number of the first image among all images that are measured. */
  readonly first: number;
}

/** Runs a model in evaluation mode over batches of images `[B, H, W, C]` in [−1, 1] and measures it. It reads from the
 * device only at the end.
 *
 * ```ts
 * import { evaluate, openDevice, randomKey, VanillaQuantizer, VQVAE } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(7, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * async function* batches() {
 *   yield { images: new Float32Array(2 * 8 * 8), count: 2 };
 * }
 * const { mse, usage } = await evaluate(device, model, batches(), [8, 8, 1], key);
 * console.log(mse, usage);
 * ```
 * @param key the key for random choices of the quantiser, if it makes any in evaluation
 * @param watch called with every batch; its tensors are recycled afterwards
 * @param replicas the processes that share the batches; by default this process has all of them
 * @throws {RangeError} there is no batch
 */
export async function evaluate(
  device: Device,
  model: Autoencoder,
  batches: AsyncIterable<Batch>,
  imageShape: readonly [number, number, number],
  key: RandomKey,
  watch?: (batch: EvaluatedBatch) => Promise<void>,
  replicas: Replicas = SINGLE,
): Promise<Evaluation> {
  using _all = device.scope();
  const errors: Tensor[] = [], measured: MeasuredBatch[] = [];
  let counts = zeros(device, [model.quantizer.codebookSize], "int32");
  let done = 0;
  for await (const { images, count, first = done } of batches) {
    measured.push({ first, count });
    done = first + count;
    using batch = device.scope();
    const originals = device.tensor(images, [count, ...imageShape]);
    const made = withoutGradients(() => model.forward(originals, { training: false, key }));
    const { reconstruction, quantized } = made;
    errors.push(batch.keep(imageErrors(originals, reconstruction)));
    const total = batch.keep(add(counts, quantized.usage));
    counts.dispose();
    counts = total;
    await watch?.({ ...made, originals: images, originalTensor: originals, first });
  }
  const [first, ...rest] = errors;
  const own = first === undefined
    ? new Float32Array(0)
    : await concatenate([first, ...rest]).floats();
  const perImage = await inOrder(device, own, measured, replicas);
  const histogram = await replicas.sum(counts).integers();
  const ratios = new PsnrSums(2);
  for (const error of perImage) ratios.add(error);
  return {
    images: ratios.pairs,
    equalImages: ratios.equalPairs,
    mse: ratios.meanError,
    psnr: ratios.mean,
    psnrOfMse: ratios.ofMeanError,
    ...codebookUse(histogram),
    counts: histogram,
    precision: device.precision,
  };
}
