/** Autoregression for first stages with several codes per position. */
import { withoutGradients } from "../core/execute.ts";
import { mul, sub } from "../core/functions/elementwise.ts";
import { gather, nearest } from "../core/functions/indexing.ts";
import { concatenate, reshape, slice } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { FirstStage } from "../models/first_stage.ts";
import type { ResidualTransformer } from "../models/transformer/residual_transformer.ts";
import { StackCache } from "../models/transformer/stack.ts";
import { partKey } from "../nn/initializers.ts";
import type { Context } from "../nn/module.ts";
import type { Replicas } from "../nn/replicas.ts";
import { projectedCrossEntropy } from "../nn/projected_cross_entropy.ts";
import { softCrossEntropy } from "../nn/soft_cross_entropy.ts";
import { CodebookQuantizer } from "../quantizers/codebook.ts";
import { ResidualQuantizer } from "../quantizers/residual.ts";
import { drawCodes } from "./autoregression.ts";
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
import type { NextCode } from "./samplers/autoregressive.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";

/** Options of the constructor. */
export interface ResidualAutoregressionOptions extends CodeGeneratorOptions<ResidualTransformer> {
  /** τ: in training, codes are drawn from Q(k) ∝ exp(−‖r − e_k‖²/τ), where r is the remaining residual of the feature,
   * and Q is the target (arXiv 2203.01941, 3.3). With 0, training uses the codes of the first stage. */
  readonly softening: number;
}

/** The codebook of a residual quantiser that shares one codebook between all levels. */
function sharedCodebook({ network: { quantizer } }: FirstStage): CodebookQuantizer | undefined {
  if (!(quantizer instanceof ResidualQuantizer) || quantizer.parts.length > 1) return undefined;
  const [part] = quantizer.parts;
  return part instanceof CodebookQuantizer ? part : undefined;
}

/** Minimises −ln p of every code given the positions before it, in row order, and the codes before it at its own
 * position (RQ-VAE, arXiv 2203.01941, 3.2). As in autoregression, evaluation reports bits per code.
 */
export class ResidualAutoregressionObjective extends CodeGenerator<ResidualTransformer> {
  readonly #options: ResidualAutoregressionOptions;

  /** Makes the objective for a model, its optimiser and a first stage.
   * @throws {RangeError} `softening` is above 0, and the first stage does not share one codebook between all levels or
   * its codes are cached
   */
  constructor(options: ResidualAutoregressionOptions) {
    super(options);
    this.#options = options;
    const { softening, stage1, cache = "none" } = options;
    if (softening > 0 && sharedCodebook(stage1) === undefined) {
      throw new RangeError(
        "Cannot soften targets: the first stage must be a residual quantizer with one codebook for all levels, got another",
      );
    }
    if (softening > 0 && cache !== "none") {
      throw new RangeError(
        `Cannot soften targets: objective.cache must be none, because every step samples new codes, got ${cache}`,
      );
    }
  }

  /** The measure: bits per code. */
  protected override readonly measure: readonly [string, string] = [
    "bits",
    "-log2 of the probability of each code after those of the positions before and those before it at its own, the mean over all codes",
  ];

  /** Checks the sampling settings and fills in the defaults. */
  protected override readonly readSampling: SamplingReader<CodeSamplingSettings> = readCodeSampling;

  /** The losses of the model on codes. */
  protected override losses(
    { codes, near }: EncodedCodes,
    labels: Tensor,
    context: Context,
    { smoothing }: LossOptions,
  ): CodeLosses {
    const { depth, head: { weight } } = this.model, [batch] = codes.shape;
    const places = reshape(codes, [batch, codes.size / batch / depth, depth]);
    const features = this.model.forward(labels, places, context);
    const targets = reshape(codes, [codes.size]);
    const rows = reshape(features, [codes.size, weight.shape[0]]);
    const losses = near === undefined
      ? projectedCrossEntropy(rows, weight, targets, { smoothing })
      : softCrossEntropy(rows, weight, near);
    return { targets, losses };
  }

  /** With soft targets, draws each code from those near the remaining residual of the feature. */
  protected override encodeInTraining(
    images: Tensor,
    key: RandomKey,
    replicas: Replicas,
  ): EncodedCodes {
    const { softening, stage1 } = this.#options, { depth } = this.model;
    if (softening === 0) return super.encodeInTraining(images, key, replicas);
    const codebook = sharedCodebook(stage1)!.codes();
    const features = stage1.features(images), width = stage1.codebookDim;
    const places = features.size / width, scaled = (x: Tensor) => mul(x, softening ** -0.5);
    const indices: Tensor[] = [], residuals: Tensor[] = [];
    let rest = reshape(features, [places, width]);
    for (let level = 0; level < depth; level++) {
      const noise = partKey(key, level);
      // The draw for a row depends on its position in the batch.
      const all = nearest(scaled(replicas.gather(rest)), scaled(codebook), {
        distance: "l2",
        noise,
      });
      const drawn = slice(all, [replicas.rank * places], [places]);
      indices.push(reshape(drawn, [places, 1]));
      residuals.push(reshape(rest, [places, 1, width]));
      rest = sub(rest, gather(codebook, drawn));
    }
    const joined = (parts: readonly Tensor[]) => concatenate([parts[0], ...parts.slice(1)], 1);
    return {
      codes: reshape(joined(indices), [images.shape[0], places / images.shape[0] * depth]),
      near: {
        vectors: reshape(joined(residuals), [places * depth, width]),
        codes: codebook,
        temperature: softening,
      },
    };
  }

  /** Draws codes. */
  protected override async draw(
    device: Device,
    request: CodeRequest<CodeSamplingSettings>,
  ): Promise<Int32Array<ArrayBuffer>> {
    using model = new NextResidualCode(device, this.model, {
      labels: request.labels,
      count: request.count,
      guidance: request.settings.guidance,
    });
    return await drawCodes(model, request, sizeOf(this.codeShape));
  }
}

/** The images to sample. */
interface ResidualSampling {
  readonly labels: Int32Array<ArrayBuffer>;
  readonly count: number;
  readonly guidance: number;
}

/** Predicts the next code, with the caches of both transformers. */
class NextResidualCode implements NextCode, Disposable {
  readonly #device: Device;
  readonly #model: ResidualTransformer;
  readonly #sampling: ResidualSampling;
  readonly #spatialCache: StackCache;
  #depthCache: StackCache | undefined;
  /** The features of the current position. */
  #position: Tensor | undefined;
  /** The codes of the current position, one column for each. */
  #columns: Int32Array[] = [];

  constructor(device: Device, model: ResidualTransformer, sampling: ResidualSampling) {
    this.#device = device;
    this.#model = model;
    this.#sampling = sampling;
    this.#spatialCache = new StackCache(model.spatialStack);
  }

  next(codes: Int32Array<ArrayBuffer> | undefined): Tensor {
    return withoutGradients(() => {
      using scope = this.#device.scope();
      this.#take(codes);
      const { depth } = this.#model, complete = Math.floor(this.#columns.length / depth) * depth;
      if (this.#position === undefined || complete > 0) {
        this.#nextPosition(this.#columns.splice(0, complete));
      }
      const features = this.#model.deep(
        this.#position!,
        this.#tensor(this.#columns),
        undefined,
        this.#depthCache,
      );
      const [rows, count, width] = features.shape;
      const last = slice(features, [0, count - 1, 0], [rows, 1, width]);
      const logits = this.#model.logits(reshape(last, [rows, width]));
      const { count: images, guidance } = this.#sampling;
      return scope.keep(rows === images ? logits : guidedLogits(logits, guidance));
    });
  }

  [Symbol.dispose](): void {
    this.#spatialCache[Symbol.dispose]();
    this.#depthCache?.[Symbol.dispose]();
    this.#position?.dispose();
  }

  #take(codes: Int32Array | undefined): void {
    const { count } = this.#sampling, columns = (codes?.length ?? 0) / count;
    for (let column = 0; column < columns; column++) {
      this.#columns.push(
        Int32Array.from({ length: count }, (_, row) => codes![row * columns + column]),
      );
    }
  }

  /** Adds the codes of the complete positions and prepares the next position. */
  #nextPosition(columns: readonly Int32Array[]): void {
    const { labels } = this.#sampling, { depth } = this.#model, rows = labels.length;
    const codes = this.#tensor(columns);
    const positions = this.#model.spatial(
      {
        labels: this.#spatialCache.length === 0 ? this.#device.tensor(labels, [rows]) : undefined,
        codes: codes && reshape(codes, [rows, columns.length / depth, depth]),
      },
      undefined,
      this.#spatialCache,
    );
    const [, count, width] = positions.shape;
    const last = slice(positions, [0, count - 1, 0], [rows, 1, width]);
    this.#position?.dispose();
    this.#position = reshape(last, [rows, width]);
    this.#position.owner?.delete(this.#position);
    this.#depthCache?.[Symbol.dispose]();
    this.#depthCache = new StackCache(this.#model.depthStack);
  }

  /** The columns as a tensor, int32 `[rows, columns]`, with guidance twice the rows; `undefined` without columns. */
  #tensor(columns: readonly Int32Array[]): Tensor | undefined {
    if (columns.length === 0) return undefined;
    const { labels, count } = this.#sampling;
    const values = Int32Array.from(
      { length: labels.length * columns.length },
      (_, at) => columns[at % columns.length][Math.floor(at / columns.length) % count],
    );
    return this.#device.tensor(values, [labels.length, columns.length]);
  }
}
