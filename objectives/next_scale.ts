/** Next-scale prediction: a transformer predicts all codes of a scale at once from the scales before. */
import { withoutGradients } from "../core/execute.ts";
import { concatenate, reshape, slice } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { ScaleTransformer } from "../models/transformer/scale_transformer.ts";
import type { StackCache } from "../models/transformer/stack.ts";
import type { Context } from "../nn/module.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import type { Replicas } from "../nn/replicas.ts";
import type { MultiScaleQuantizer } from "../quantizers/multi_scale.ts";
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
import type { CodeStatistics } from "./code_statistics.ts";
import { encodeExchanged, multiScaleOf } from "./multi_scale_codes.ts";
import { drawCode, drawOf } from "./samplers/choice.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";

/** Options of the constructor. */
export interface NextScaleOptions extends CodeGeneratorOptions<ScaleTransformer> {
  /** Exchanges up to this fraction of an image's codes in training, so that the finer scales learn to make up for wrong
   * codes of the coarser ones; 0: none. */
  readonly exchange: number;
}

/** Minimises −ln p of every code given the scales before its own (VAR, arXiv 2404.02905, 3.1). One pass covers all
 * scales: the input of each scale is the sum of the image's own codes before it. As in autoregression, evaluation
 * reports bits per code. The series has this number for every scale, together with the entropy of the code frequencies
 * of the scale.
 *
 * The codes of a scale are drawn independently of each other, so some do not fit the others. With `exchange`, training
 * shows codes of other images in the place of some, and the targets of the finer scales make up for them
 * (self-correction, as in Infinity, arXiv 2412.04431, 3.4).
 *
 * `generate` needs as many passes as there are scales.
 *
 * ```ts
 * import {
 *   Adam, FirstStage, memoryDataset, MultiScaleQuantizer, NextScaleObjective, openDevice, randomKey, ScaleTransformer,
 *   uniform, VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "example"), sizes = { codebookSize: 8, codebookDim: 4 };
 * const quantizer = new MultiScaleQuantizer(device, {
 *   inner: (key) => new VanillaQuantizer(device, { ...sizes, key }),
 *   scales: [1, 2],
 *   key,
 * });
 * const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = uniform(device, [4, 8, 8, 1], key, -1, 1);
 * const train = await images.floats();
 * const model = new ScaleTransformer(device, {
 *   ...{ ...sizes, scales: [1, 2], classes: 0, width: 8, heads: 2, layers: 1, dropout: 0 },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
 * });
 * const objective = new NextScaleObjective({
 *   ...{ model, exchange: 0.3, classDropout: 0, smoothing: 0 },
 *   optimizer: new Adam(model.namedParameters()),
 *   learningRate: () => 1e-3,
 *   stage1: new FirstStage(network, key),
 *   dataset: memoryDataset({ name: "noise", imageShape: [8, 8, 1], train, test: train }),
 * });
 * {
 *   using _scope = device.scope();
 *   const { loss } = objective.step({ images }, { training: true, key, step: 0 });
 *   console.log(await loss.item()); // About ln 8: nothing is learned yet.
 * }
 * const { codes } = await objective.generate(device, { count: 3, key, settings: { topK: 4 } });
 * assert.equal(codes?.length, 3 * 5);
 * ```
 */
export class NextScaleObjective extends CodeGenerator<ScaleTransformer> {
  readonly #options: NextScaleOptions;
  readonly #quantizer: MultiScaleQuantizer;

  /** Makes the objective for a model, its optimiser and a first stage with a multi-scale quantiser.
   * @throws {RangeError} the first stage has another quantiser; or codes are exchanged, and those of the first stage
   * are cached
   */
  constructor(options: NextScaleOptions) {
    super(options);
    const { stage1, exchange, cache = "none" } = options;
    this.#options = options;
    this.#quantizer = multiScaleOf(stage1);
    if (exchange === 0 || cache === "none") return;
    throw new RangeError(
      `Cannot exchange codes: objective.cache must be none, because every step encodes images anew, got ${cache}`,
    );
  }

  /** The measure: bits per code. */
  protected override readonly measure: readonly [string, string] = [
    "bits",
    "-log2 of the probability of each code after the scales before its own, the mean over all codes",
  ];

  /** Checks the sampling settings and fills in the defaults. */
  protected override readonly readSampling: SamplingReader<CodeSamplingSettings> = readCodeSampling;

  /** Adds the measures for every scale. */
  protected override series(statistics: CodeStatistics): Record<string, readonly number[]> {
    const lengths = this.#lengths;
    return {
      ...super.series(statistics),
      bitsOfScales: statistics.bitsOfParts(lengths),
      unigramBitsOfScales: statistics.unigramBitsOfParts(lengths),
    };
  }

  /** With exchanged codes, encodes the images anew in each step. */
  protected override encodeInTraining(
    images: Tensor,
    key: RandomKey,
    replicas: Replicas,
  ): EncodedCodes {
    const { exchange: most, stage1 } = this.#options;
    if (most === 0) return super.encodeInTraining(images, key, replicas);
    const { codes, exchanged } = encodeExchanged(stage1, images, { most, key, replicas });
    return { codes, shown: exchanged };
  }

  /** The losses of the model on codes. */
  protected override losses(
    { codes, shown = codes }: EncodedCodes,
    labels: Tensor,
    context: Context,
    { smoothing }: LossOptions,
  ): CodeLosses {
    const [batch, length] = codes.shape, before = length - this.#lengths.at(-1)!;
    const sums = before === 0
      ? undefined
      : withoutGradients(() => this.#quantizer.before(slice(shown, [0, 0], [batch, before])));
    const features = this.model.forward({ labels, sums }, context);
    const targets = reshape(codes, [codes.size]);
    const rows = reshape(features, [codes.size, features.shape[2]]);
    const { weight } = this.model.head;
    return { targets, losses: projectedCrossEntropy(rows, weight, targets, { smoothing }) };
  }

  /** Draws codes, all of a scale at once. */
  protected override async draw(
    device: Device,
    request: CodeRequest<CodeSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    const { count, first, key, settings, onShare, signal } = request, lengths = this.#lengths;
    const length = lengths.reduce((total, own) => total + own);
    const codes = new Int32Array(count * length).fill(-1);
    using cache = this.model.cache();
    let at = 0;
    for (const [scale, own] of lengths.entries()) {
      signal?.throwIfAborted();
      const known = Int32Array.from(
        { length: count * at },
        (_, index) => codes[Math.floor(index / at) * length + index % at],
      );
      using tensor = withoutGradients(() => this.#logits(device, request, known, cache));
      const logits = await tensor.floats(), size = logits.length / count / own;
      for (let row = 0; row < count; row++) {
        for (let place = 0; place < own; place++) {
          const start = (row * own + place) * size, position = at + place;
          const { chance } = drawOf(key, first + row, position);
          const of = logits.subarray(start, start + size);
          codes[row * length + position] = drawCode(of, settings, chance);
        }
      }
      at += own;
      await onShare((scale + 1) / lengths.length, codes);
    }
    return codes;
  }

  /** The logits of the next scale, `[count, s², K]`.
   * @param codes `[count, n]`, the codes of the scales that the cache holds
   */
  #logits(
    device: Device,
    { count, labels, settings: { guidance } }: CodeRequest<CodeSamplingSettings>,
    codes: Int32Array<ArrayBuffer>,
    cache: StackCache,
  ): Tensor {
    using scope = device.scope();
    const times = labels.length / count, known = codes.length / count;
    const input = known === 0
      ? { labels: device.tensor(labels, [labels.length]) }
      : { sums: repeated(this.#lastSums(device.tensor(codes, [count, known])), times) };
    const features = this.model.forward(input, undefined, cache);
    const logits = this.model.logits(features);
    return scope.keep(times === 1 ? logits : guidedLogits(logits, guidance));
  }

  /** The input for the scale after the given ones: int32 `[B, n]` → float32 `[B, s², D]`. */
  #lastSums(codes: Tensor): Tensor {
    const sums = this.#quantizer.before(codes), [batch, count, width] = sums.shape;
    const first = this.#lengths[0], own = count + first - codes.shape[1];
    return slice(sums, [0, count - own, 0], [batch, own, width]);
  }

  /** How many codes each scale has. */
  get #lengths(): readonly number[] {
    return this.model.scales.map((side) => side ** 2);
  }
}

/** Repeats the rows. */
function repeated(rows: Tensor, times: number): Tensor {
  return times === 1 ? rows : concatenate([rows, ...new Array<Tensor>(times - 1).fill(rows)]);
}
