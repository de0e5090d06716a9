/** Autoregression: a transformer that tells each code of an image from those before it. */
import * as z from "zod";
import { backward, withoutGradients } from "../core/execute.ts";
import { cast, div, greaterEqual, maximum } from "../core/functions/elementwise.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
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
import type { Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { drawInOrder } from "./samplers/autoregressive.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";

/** What the objective is made of. */
export interface AutoregressionOptions extends CodeGeneratorOptions, UpdateOptions {
  /** What is trained; causal. */
  readonly model: CodeTransformer;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
}

/** How the codes are sampled. */
export const AUTOREGRESSIVE_SAMPLING: z.ZodObject<
  { readonly [Name in keyof CodeSamplingSettings]: z.ZodType<CodeSamplingSettings[Name]> },
  z.core.$strict
> = z.strictObject(CODE_SAMPLING);

/** Minimises −ln p of every code after those before it, by rows (arXiv 2012.09841, 3.2). Its number is bits a code:
 * −log₂ p, the mean over all codes of all images, without smoothing.
 *
 * `generate` completes images whose first codes, by rows, are known.
 */
export class AutoregressionObjective extends CodeGenerator {
  /** What is trained. */
  readonly model: CodeTransformer;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** The names of the scalars. */
  readonly scalars: readonly string[] = ["loss"];
  protected override readonly measures = [
    "bits",
    "-log2 of the probability of each code after those before it, the mean over all codes",
  ] as const;
  protected override readonly samplingSchema: z.ZodType<CodeSamplingSettings> =
    AUTOREGRESSIVE_SAMPLING;
  readonly #smoothing: number;
  readonly #update: Update;

  /** Takes up a model and its optimiser. */
  constructor(options: AutoregressionOptions) {
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
    const { losses, targets } = this.#losses(codes, told, context, this.#smoothing);
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

  protected override measure(codes: Tensor, labels: Tensor, context: Context): CodeLosses {
    return this.#losses(codes, labels, context, 0);
  }

  protected override draw(
    device: Device,
    { labels, settings, given, onShare, ...request }: CodeRequest<CodeSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    const { codeShape: [height, width], model } = this, { guidance } = settings;
    const length = height * width, rows = labels.length;
    checkPrefix(given, length);
    const drawAll = async () => {
      using cache = model.cache();
      const next = (codes: Int32Array<ArrayBuffer> | undefined) => {
        using scope = device.scope();
        const features = model.forward(
          {
            labels: cache.length === 0 ? device.tensor(labels, [rows]) : undefined,
            codes: codes && device.tensor(repeated(codes, rows / request.count), [
              rows,
              codes.length / request.count,
            ]),
          },
          undefined,
          cache,
        );
        const [, count, channels] = features.shape;
        const last = slice(features, [0, count - 1, 0], [rows, 1, channels]);
        const logits = model.logits(reshape(last, [rows, channels]));
        return scope.keep(
          guidance === 1 || rows === request.count ? logits : guidedLogits(logits, guidance),
        );
      };
      return await drawInOrder({ next: (codes) => withoutGradients(() => next(codes)) }, {
        ...request,
        ...settings,
        length,
        given,
        onCode: (done) => onShare(done / length),
      });
    };
    return drawAll();
  }

  #losses(codes: Tensor, labels: Tensor, context: Context, smoothing: number): CodeLosses {
    const [batch, length] = codes.shape;
    const shown = length === 1 ? undefined : slice(codes, [0, 0], [batch, length - 1]);
    const features = this.model.forward({ labels, codes: shown }, context);
    const targets = reshape(codes, [codes.size]);
    const rows = reshape(features, [codes.size, features.shape[2]]);
    const { weight } = this.model.head;
    return { targets, losses: projectedCrossEntropy(rows, weight, targets, { smoothing }) };
  }
}

/** The same rows several times. */
function repeated(rows: Int32Array<ArrayBuffer>, times: number): Int32Array<ArrayBuffer> {
  if (times === 1) return rows;
  const all = new Int32Array(rows.length * times);
  for (let start = 0; start < all.length; start += rows.length) all.set(rows, start);
  return all;
}

/** Refuses known codes that come after some that are not.
 * @throws {RangeError} there are
 */
function checkPrefix(given: Int32Array | undefined, length: number): void {
  given?.forEach((code, at) => {
    if (code < 0 || at % length === 0 || given[at - 1] >= 0) return;
    throw new RangeError(
      `Cannot complete images: an autoregressive model needs the known codes to be the first by rows, got a known one ` +
        `at position ${at % length} after a hidden one; a masking model takes any`,
    );
  });
}
