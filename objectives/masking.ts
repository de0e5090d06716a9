/** Masking: a transformer that tells the hidden codes of an image from the others. */
import * as z from "zod";
import { backward } from "../core/execute.ts";
import { cast, div, greaterEqual, maximum, where } from "../core/functions/elementwise.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
import { partKey } from "../nn/initializers.ts";
import type { Context } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import { Update, type UpdateOptions } from "../nn/update.ts";
import {
  CODE_SAMPLING,
  CodeGenerator,
  type CodeGeneratorOptions,
  type CodeLosses,
  type CodeRequest,
  type CodeSamplingSettings,
} from "./code_generator.ts";
import { drawMask } from "./masks.ts";
import type { Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";
import { drawInPasses, MASKED_SETTINGS, type MaskedSettings } from "./samplers/masked.ts";

/** What the objective is made of. */
export interface MaskingOptions extends CodeGeneratorOptions, UpdateOptions {
  /** What is trained; not causal. */
  readonly model: CodeTransformer;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
}

/** How the codes are sampled. */
export interface MaskedSamplingSettings extends CodeSamplingSettings, MaskedSettings {}

/** Their schema. */
export const MASKED_SAMPLING: z.ZodObject<
  { readonly [Name in keyof MaskedSamplingSettings]: z.ZodType<MaskedSamplingSettings[Name]> },
  z.core.$strict
> = z.strictObject({ ...CODE_SAMPLING, ...MASKED_SETTINGS });

/** Minimises −ln p of the hidden codes of an image after the others, as many hidden as a cosine schedule says at a random
 * place (MaskGIT, arXiv 2202.04200). Its number is bits a hidden code, with masks that are the same in every evaluation.
 *
 * `generate` makes the codes in a few passes, and completes images of which any codes are known.
 */
export class MaskingObjective extends CodeGenerator<MaskedSamplingSettings> {
  /** What is trained. */
  readonly model: CodeTransformer;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** The names of the scalars. */
  readonly scalars: readonly string[] = ["loss"];
  protected override readonly measures = [
    "maskedBits",
    "-log2 of the probability of each hidden code after the others, the mean over all hidden codes; the share " +
    "cos(pi r/2) of an image's codes is hidden, r uniform",
  ] as const;
  protected override readonly samplingSchema: z.ZodType<MaskedSamplingSettings> = MASKED_SAMPLING;
  readonly #smoothing: number;
  readonly #update: Update;

  /** Takes up a model and its optimiser. */
  constructor(options: MaskingOptions) {
    super(options);
    this.model = options.model;
    this.optimizer = options.optimizer;
    this.#smoothing = options.smoothing;
    this.#update = new Update(this.model.parameters(), this.optimizer, options);
  }

  /** Takes a step. */
  step(
    { images, labels }: TrainingBatch,
    { step, ...context }: StepContext,
  ): Readonly<Record<string, Tensor>> {
    const { device } = images;
    using scope = device.scope();
    device.phase("codes");
    const codes = this.encode(images);
    device.phase("forward");
    const told = this.told(device, codes.shape[0], labels, context);
    const { losses, targets } = this.#losses(codes, told, context, this.#smoothing, 0);
    const counted = sum(cast(greaterEqual(targets, 0), "float32"));
    const loss = scope.keep(div(sum(losses), maximum(counted, 1)));
    device.phase("backward");
    const gradients = backward(loss, this.#update.parameters, { spent: scope });
    device.phase("optimizer");
    this.#update.step(gradients, step);
    return { loss };
  }

  /** The learning rate. */
  learningRates(step: number): Scalars {
    return { learningRate: this.#update.learningRate(step) };
  }

  protected override measure(
    codes: Tensor,
    labels: Tensor,
    context: Context,
    first: number,
  ): CodeLosses {
    return this.#losses(codes, labels, context, 0, first);
  }

  protected override draw(
    device: Device,
    { labels, settings, onShare, ...request }: CodeRequest<MaskedSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    const { codeShape: [height, width], model } = this, { guidance, steps } = settings;
    const length = height * width, times = labels.length / request.count;
    const logitsOf = (codes: Int32Array<ArrayBuffer>) => {
      using scope = device.scope();
      const shown = codes.map((code) => code < 0 ? model.codebookSize : code);
      const all = times === 1 ? shown : Int32Array.of(...shown, ...shown);
      const features = this.#features(
        device.tensor(all, [labels.length, length]),
        device.tensor(labels, [labels.length]),
      );
      const logits = model.logits(features);
      return scope.keep(times === 1 ? logits : guidedLogits(logits, guidance));
    };
    return drawInPasses(logitsOf, {
      ...request,
      ...settings,
      length,
      onStep: (done) => onShare(done / steps),
    });
  }

  /** The features of every code: `[B, length, width]`. */
  #features(codes: Tensor, labels: Tensor, context?: Context): Tensor {
    const features = this.model.forward({ labels, codes }, context);
    const [batch, length, width] = features.shape;
    return slice(features, [0, 1, 0], [batch, length - 1, width]);
  }

  #losses(
    codes: Tensor,
    labels: Tensor,
    context: Context,
    smoothing: number,
    first: number,
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
