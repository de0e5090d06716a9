/** ImageBART: a chain of transformers that remove noise from the codes of an image, step by step. */
import { withoutGradients } from "../core/execute.ts";
import { add, equal, greaterEqual, mul, sub, where } from "../core/functions/elementwise.ts";
import { gather } from "../core/functions/indexing.ts";
import { reshape, slice, transpose } from "../core/functions/movement.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { EncoderDecoder, EncoderDecoderChain } from "../models/transformer/encoder_decoder.ts";
import { partKey } from "../nn/initializers.ts";
import type { Context } from "../nn/module.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import {
  CodeGenerator,
  type CodeGeneratorOptions,
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
import { type CodeRange, MultinomialDiffusion } from "./diffusion/multinomial.ts";
import { CachedTransformer, repeated } from "./next_code.ts";
import { drawInOrder } from "./samplers/autoregressive.ts";

/** Codes before and after a step, int32 `[B, positions]`. */
interface NoisySteps {
  /** t: the number of the step, counted from 1. */
  readonly t: number;
  /** x_0. */
  readonly original: Tensor;
  /** x_{t−1}. */
  readonly before: Tensor;
  /** x_t. */
  readonly after: Tensor;
}

/** Minimises an upper bound on −ln p of the codes: the sum of KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) over the
 * steps t of a multinomial diffusion; the first term is −ln p(x_0 | x_1) (ImageBART, arXiv 2108.08827). Each step has
 * its own transformer, which predicts the codes before the step one by one from all codes after it. Evaluation reports
 * the bound in bits per code, with the same noise every time.
 *
 * `generate` draws the uniform codes after the last step and undoes the steps. It can complete images of which any
 * codes are known; the known codes also get the noise of each step.
 *
 * ```ts
 * import {
 *   Adam, EncoderDecoderChain, FirstStage, ImageBartObjective, memoryDataset, openDevice, randomKey, uniform,
 *   VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "example");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = uniform(device, [4, 8, 8, 1], key, -1, 1);
 * const train = await images.floats();
 * const model = new EncoderDecoderChain(device, {
 *   ...{ codebookSize: 8, grid: [2, 2], classes: 0, steps: 2 },
 *   ...{ width: 8, heads: 2, layers: 1, encoderLayers: 1, dropout: 0 },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
 * });
 * const objective = new ImageBartObjective({
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
 *   console.log(await loss.item());
 * }
 * const { codes } = await objective.generate(device, { count: 3, key, settings: { topK: 4 } });
 * assert.equal(codes?.length, 3 * 4);
 * ```
 */
export class ImageBartObjective extends CodeGenerator<EncoderDecoderChain> {
  readonly #diffusion: MultinomialDiffusion;

  /** Makes the objective for a model, its optimiser and a first stage. */
  constructor(options: CodeGeneratorOptions<EncoderDecoderChain>) {
    super(options);
    const { model: { steps }, stage1: { codebookSize } } = options;
    this.#diffusion = new MultinomialDiffusion({ steps: steps.length, codebookSize });
  }

  /** The measure: the bound in bits per code. */
  protected override readonly measure: readonly [string, string] = [
    "boundBits",
    "upper bound on -log2 of the probability of the codes, the mean over all codes: the sum over the steps of a " +
    "multinomial diffusion of KL(q(codes before | codes after, codes) || p(codes before | codes after)); one draw of " +
    "the noise for each image",
  ];

  /** Checks the sampling settings and fills in the defaults. */
  protected override readonly readSampling: SamplingReader<CodeSamplingSettings> = readCodeSampling;

  /** The losses of the model on codes. */
  protected override losses(
    { codes }: EncodedCodes,
    labels: Tensor,
    context: Context,
    { smoothing, first }: LossOptions,
  ): CodeLosses {
    const { device, size, shape: [count, length] } = codes;
    const range = { count, length, first, key: partKey(context.key, 1) };
    const divergences: Tensor[] = [];
    let before = codes;
    for (const [step, model] of this.model.steps.entries()) {
      const t = step + 1, own = { ...context, key: partKey(context.key, 2 + t) };
      const replacements = device.tensor(this.#diffusion.replacements(t, range), [count, length]);
      const after = where(greaterEqual(replacements, 0), replacements, before);
      const noisy = { t, original: codes, before, after };
      divergences.push(this.#divergence(model, noisy, labels, own, smoothing));
      before = after;
    }
    return { targets: reshape(codes, [size]), losses: divergences.reduce(add) };
  }

  /** KL(q ‖ p) of each code before a step: float32 `[codes]`. */
  #divergence(
    model: EncoderDecoder,
    { t, original, before, after }: NoisySteps,
    labels: Tensor,
    context: Context,
    smoothing: number,
  ): Tensor {
    const { size, shape: [count, length] } = original;
    const shown = length === 1 ? undefined : slice(before, [0, 0], [count, length - 1]);
    const memory = model.encode(after, context);
    const features = model.decode({ labels, codes: shown, memory }, context);
    const rows = reshape(features, [size, features.shape[2]]);
    const { weight } = model.decoder.head, vectors = transpose(weight);
    const clean = reshape(original, [size]), noisy = reshape(after, [size]);
    const isSame = equal(clean, noisy);
    const [same, other] = [true, false].map((isSame) => this.#diffusion.posterior(t, isSame));
    // Σ q ln p is linear in q, and logits are linear in the features.
    const ofClean = gather(vectors, clean);
    const farther = (vector: Tensor) => sum(mul(rows, sub(ofClean, vector)), -1);
    const uniform = where(
      isSame,
      smoothing + (1 - smoothing) * same.uniform,
      smoothing + (1 - smoothing) * other.uniform,
    );
    const crossEntropy = [
      projectedCrossEntropy(rows, weight, clean),
      mul(farther(gather(vectors, noisy)), (1 - smoothing) * other.noisy),
      mul(farther(mean(weight, 1)), uniform),
    ].reduce(add);
    return sub(crossEntropy, where(isSame, same.entropy, other.entropy));
  }

  /** Draws codes. */
  protected override async draw(
    device: Device,
    { labels, settings, given, onShare, ...request }: CodeRequest<CodeSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    const { model: { steps } } = this, { count, first } = request, last = steps.length;
    const length = sizeOf(this.codeShape);
    const range: CodeRange = { count, length, first, key: partKey(request.key, 0) };
    const known = [given];
    for (let t = 1; t < last; t++) {
      const before = known[t - 1];
      known.push(before && this.#diffusion.noise(before, t, range));
    }
    let codes = this.#diffusion.replacements(last, range);
    for (let t = last; t > 0; t--) {
      using memory = encodeAll(device, steps[t - 1], codes, labels.length);
      using model = new CachedTransformer(device, steps[t - 1].decoder, {
        ...{ labels, count, memory, guidance: settings.guidance },
      });
      codes = await drawInOrder(model, {
        ...request,
        ...settings,
        key: partKey(request.key, t),
        length,
        given: known[t - 1],
        onCode: (done, codes) => onShare((last - t + done / length) / last, codes),
      });
    }
    return codes;
  }
}

/** What a decoder attends to, repeated for the given number of rows: with guidance twice as many as there are codes. */
function encodeAll(
  device: Device,
  model: EncoderDecoder,
  codes: Int32Array<ArrayBuffer>,
  rows: number,
): Tensor {
  return withoutGradients(() => {
    using scope = device.scope();
    const [length] = model.positions.shape, count = codes.length / length;
    const all = device.tensor(repeated(codes, rows / count), [rows, length]);
    return scope.keep(model.encode(all));
  });
}
