/** Autoregression: a transformer predicts each code of an image from the codes before it. */
import { reshape, slice } from "../core/functions/movement.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
import type { Context } from "../nn/module.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import {
  CodeGenerator,
  type CodeLosses,
  type CodeRequest,
  type EncodedCodes,
  type LossOptions,
} from "./code_generator.ts";
import {
  type CodeSamplingSettings,
  readCodeSampling,
  type SamplingReader,
} from "./code_sampling.ts";
import { CachedTransformer } from "./next_code.ts";
import { drawInOrder, type NextCode } from "./samplers/autoregressive.ts";

/** Minimises −ln p of every code given the codes before it, in row order (arXiv 2012.09841, 3.2). Evaluation reports
 * bits per code: −log₂ p without smoothing, the mean over all codes of all images.
 *
 * `generate` can complete images whose first codes, in row order, are known.
 *
 * ```ts
 * import {
 *   Adam, AutoregressionObjective, CodeTransformer, FirstStage, memoryDataset, openDevice, randomKey, uniform,
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
 *   ...{ codebookSize: 8, grid: [2, 2], classes: 0, causal: true },
 *   ...{ width: 8, heads: 2, layers: 1, dropout: 0, positions: "learned" },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
 * });
 * const objective = new AutoregressionObjective({
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
export class AutoregressionObjective extends CodeGenerator<CodeTransformer> {
  /** The measure: bits per code. */
  protected override readonly measure: readonly [string, string] = [
    "bits",
    "-log2 of the probability of each code after those before it, the mean over all codes",
  ];

  /** Checks the sampling settings and fills in the defaults. */
  protected override readonly readSampling: SamplingReader<CodeSamplingSettings> = readCodeSampling;

  /** Draws codes. */
  protected override async draw(
    device: Device,
    request: CodeRequest<CodeSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    using model = new CachedTransformer(device, this.model, {
      labels: request.labels,
      count: request.count,
      guidance: request.settings.guidance,
    });
    return await drawCodes(model, request, sizeOf(this.codeShape));
  }

  /** The losses of the model on codes. */
  protected override losses(
    { codes }: EncodedCodes,
    labels: Tensor,
    context: Context,
    { smoothing }: LossOptions,
  ): CodeLosses {
    const [batch, length] = codes.shape;
    const shown = length === 1 ? undefined : slice(codes, [0, 0], [batch, length - 1]);
    const features = this.model.forward({ labels, codes: shown }, context);
    const targets = reshape(codes, [codes.size]);
    const rows = reshape(features, [codes.size, features.shape[2]]);
    const { weight } = this.model.head;
    return { targets, losses: projectedCrossEntropy(rows, weight, targets, { smoothing }) };
  }
}

/** Draws the codes of some images in row order, after the known codes.
 * @param length codes per image
 * @throws {RangeError} a known code comes after an unknown one
 */
export async function drawCodes(
  model: NextCode,
  { settings, given, onShare, ...request }: CodeRequest<CodeSamplingSettings>,
  length: number,
): Promise<Int32Array<ArrayBuffer>> {
  checkPrefix(given, length);
  return await drawInOrder(model, {
    ...request,
    ...settings,
    length,
    given,
    onCode: (done, codes) => onShare(done / length, codes),
  });
}

/** Rejects known codes that come after unknown ones.
 * @throws {RangeError} a known code comes after an unknown one
 */
function checkPrefix(given: Int32Array | undefined, length: number): void {
  given?.forEach((code, at) => {
    if (code < 0 || at % length === 0 || given[at - 1] >= 0) return;
    throw new RangeError(
      `Cannot complete images: an autoregressive model needs the known codes to come first in row order, got a known one ` +
        `at position ${at % length} after a hidden one; a masking model takes any mask`,
    );
  });
}
