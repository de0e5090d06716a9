/** Masking: a transformer predicts the hidden codes of an image from the others. */
import type * as z from "zod";
import { where } from "../core/functions/elementwise.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
import { partKey } from "../nn/initializers.ts";
import type { Context } from "../nn/module.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import { readSettings } from "../settings/settings.ts";
import {
  CodeGenerator,
  type CodeLosses,
  type CodeRequest,
  type EncodedCodes,
  type LossOptions,
} from "./code_generator.ts";
import { CODE_SAMPLING, type CodeSamplingSettings, type SamplingReader } from "./code_sampling.ts";
import { drawMask } from "./masks.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";
import { drawInPasses, MASKED_SETTINGS, type MaskedSettings } from "./samplers/masked.ts";

/** The sampling settings. */
export interface MaskedSamplingSettings extends CodeSamplingSettings, MaskedSettings {}

/** The schema of these settings. */
export const MASKED_SAMPLING: z.ZodObject<
  { readonly [Name in keyof MaskedSamplingSettings]: z.ZodType<MaskedSamplingSettings[Name]> },
  z.core.$strict
> = CODE_SAMPLING.extend(MASKED_SETTINGS);

const readMaskedSampling: SamplingReader<MaskedSamplingSettings> = (settings) =>
  readSettings(MASKED_SAMPLING, settings, "sample");

/** Minimises −ln p of the hidden codes of an image given the others. The number of hidden codes comes from a cosine
 * schedule at a random point (MaskGIT, arXiv 2202.04200). Evaluation reports bits per hidden code, with the same masks
 * every time.
 *
 * `generate` draws the codes in a few passes. It can complete images of which any codes are known.
 *
 * ```ts
 * import {
 *   Adam, MaskingObjective, CodeTransformer, FirstStage, memoryDataset, openDevice, randomKey, uniform,
 *   VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "example");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = uniform(device, [4, 8, 8, 1], key, -1, 1);
 * const train = await images.floats();
 * const model = new CodeTransformer(device, {
 *   ...{ codebookSize: 8, grid: [2, 2], classes: 0, causal: false },
 *   ...{ width: 8, heads: 2, layers: 1, dropout: 0, positions: "learned" },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
 * });
 * const objective = new MaskingObjective({
 *   model,
 *   optimizer: new Adam(model.namedParameters()),
 *   learningRate: () => 1e-3,
 *   stage1: new FirstStage(network, key),
 *   dataset: memoryDataset({ name: "noise", imageShape: [8, 8, 1], train, test: train }),
 *   classDropout: 0,
 *   smoothing: 0,
 * });
 * {
 *   using _scope = device.scope();
 *   const { loss } = objective.step({ images }, { training: true, key, step: 0 });
 *   console.log(await loss.item()); // About ln 8: nothing is learned yet.
 * }
 * const { codes } = await objective.generate(device, { count: 3, key, settings: { topK: 4 } });
 * assert.equal(codes?.length, 3 * 4);
 * ```
 */
export class MaskingObjective extends CodeGenerator<CodeTransformer, MaskedSamplingSettings> {
  /** The measure: bits per hidden code. */
  protected override readonly measure: readonly [string, string] = [
    "maskedBits",
    "-log2 of the probability of each hidden code after the others, the mean over all hidden codes; the share " +
    "cos(pi r/2) of an image's codes is hidden, r uniform",
  ];

  /** Checks the sampling settings and fills in the defaults. */
  protected override readonly readSampling: SamplingReader<MaskedSamplingSettings> =
    readMaskedSampling;

  /** Draws codes. */
  protected override draw(
    device: Device,
    { labels, settings, onShare, ...request }: CodeRequest<MaskedSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    const { codeShape: [height, width], model } = this, { guidance, steps } = settings;
    const times = labels.length / request.count;
    const logitsOf = (codes: Int32Array<ArrayBuffer>) => {
      using scope = device.scope();
      const shown = codes.map((code) => code < 0 ? model.codebookSize : code);
      const all = times === 1 ? shown : Int32Array.of(...shown, ...shown);
      const features = this.#features(
        device.tensor(all, [labels.length, height * width]),
        device.tensor(labels, [labels.length]),
      );
      const logits = model.logits(features);
      return scope.keep(times === 1 ? logits : guidedLogits(logits, guidance));
    };
    return drawInPasses(logitsOf, {
      ...request,
      ...settings,
      grid: [height, width],
      onStep: (done, codes) => onShare(done / steps, codes),
    });
  }

  /** The features of every code: `[B, length, width]`. */
  #features(codes: Tensor, labels: Tensor, context?: Context): Tensor {
    const features = this.model.forward({ labels, codes }, context);
    const [batch, length, width] = features.shape;
    return slice(features, [0, 1, 0], [batch, length - 1, width]);
  }

  /** The losses of the model on codes. */
  protected override losses(
    { codes }: EncodedCodes,
    labels: Tensor,
    context: Context,
    { smoothing, first }: LossOptions,
  ): CodeLosses {
    const { device, size, shape: [batch, length] } = codes;
    const key = partKey(context.key, 1), masks = new Int32Array(size);
    for (let image = 0; image < batch; image++) {
      masks.set(drawMask(key, first + image, length), image * length);
    }
    const hidden = device.tensor(masks, codes.shape);
    const shown = where(hidden, this.model.codebookSize, codes);
    const targets = reshape(where(hidden, codes, -1), [size]);
    const features = this.#features(shown, labels, context);
    const rows = reshape(features, [size, features.shape[2]]);
    const { weight } = this.model.head;
    return { targets, losses: projectedCrossEntropy(rows, weight, targets, { smoothing }) };
  }
}
