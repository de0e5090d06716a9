/** The base class of all generators of a first stage's codes. */
import { backward, withoutGradients } from "../core/execute.ts";
import { full } from "../core/functions/creation.ts";
import { cast, div, greaterEqual, maximum } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Batch } from "../data/batches.ts";
import type { Dataset, MeasuredSplit } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { partKey } from "../nn/initializers.ts";
import type { Context, Module } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import type { NearTargets } from "../nn/soft_cross_entropy.ts";
import { meanOverRanks, type Replicas, SINGLE } from "../nn/replicas.ts";
import { Update, type UpdateOptions } from "../nn/update.ts";
import {
  type Cache,
  type CachedEncodings,
  type CachePlace,
  openCache,
} from "./cached_encodings.ts";
import { dropClasses } from "./class_dropout.ts";
import { drawClassSamples } from "./class_samples.ts";
import { codeEvaluation } from "./code_evaluation.ts";
import { codeShapeOf } from "./code_stage.ts";
import type { CodeSamplingSettings, SamplingReader } from "./code_sampling.ts";
import { CodeStatistics } from "./code_statistics.ts";
import {
  type Drawing,
  type DrawnPart,
  type GenerateRequest,
  Generator,
  type Given,
} from "./generator.ts";
import type { ObjectiveEvaluation, Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { decodePartial, encodeKnown, knownCodes } from "./partial_codes.ts";
import { measuredImages } from "./protocol.ts";
import { checkChoice } from "./samplers/choice.ts";

/** A model that predicts codes. */
export interface CodeModel extends Module {
  /** The number of classes that the model is conditioned on; 0 without classes. */
  readonly classes: number;
}

/** Options of the constructor. */
export interface CodeGeneratorOptions<Model extends CodeModel> extends UpdateOptions {
  /** The model that is trained. */
  readonly model: Model;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  /** Encodes images to codes and decodes codes to images. */
  readonly stage1: FirstStage;
  /** The images. */
  readonly dataset: Dataset;
  /** The fraction of training images whose class is hidden from the model. */
  readonly classDropout: number;
  /** Label smoothing: the fraction of each target that is spread over all codes. */
  readonly smoothing: number;
  /** Which codes of the training images are cached; by default none. */
  readonly cache?: Cache;
  /** Where they are cached; by default in memory. */
  readonly cacheIn?: CachePlace;
}

/** A request to draw the codes of some images. */
export interface CodeRequest<Settings extends CodeSamplingSettings> {
  /** How many images. */
  readonly count: number;
  /** The number of the first image. */
  readonly first: number;
  /** The key of all random numbers. */
  readonly key: RandomKey;
  /** The classes for the model, `[count]`; with guidance `[2·count]`, where the second half has no class. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** `[count, positions]`: the known codes, and −1 for those to draw. If it is missing, all codes are drawn. */
  readonly given?: Int32Array;
  /** The sampling settings. */
  readonly settings: Settings;
  /** Called with the finished fraction and the codes so far, `[count, positions]`; −1 for those not drawn yet. */
  readonly onShare: (share: number, codes: Int32Array<ArrayBuffer>) => Promise<void> | void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** The losses of a model on the codes of some images. */
export interface CodeLosses {
  /** int32, one for each code: the target codes; −1 where there is no target. */
  readonly targets: Tensor;
  /** float32, one for each code: −ln of the probability of the target. */
  readonly losses: Tensor;
}

/** The number of sample images after an epoch. */
const SAMPLES = 32;

/** The codes of images. */
export interface EncodedCodes {
  /** int32 `[B, positions]`. */
  readonly codes: Tensor;
  /** int32 `[B, positions]`: the codes that the model sees instead, if others than it predicts. */
  readonly shown?: Tensor;
  /** The features that the codes encode; given if the targets are soft targets over near codes. */
  readonly near?: NearTargets;
}

/** Options of the losses. */
export interface LossOptions {
  /** Label smoothing: the fraction of each target that is spread over all codes. */
  readonly smoothing: number;
  /** The number of the first image. The draws for an image depend only on the key and on the image's number. */
  readonly first: number;
}

/** A generator of a first stage's codes. */
export abstract class CodeGenerator<
  Model extends CodeModel = CodeModel,
  Settings extends CodeSamplingSettings = CodeSamplingSettings,
> extends Generator {
  /** The model that is trained. */
  readonly model: Model;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  /** The names of the scalars. */
  readonly scalars: readonly string[] = ["loss"];
  /** The measure of the evaluation: its name, and its definition in words. */
  protected abstract readonly measure: readonly [name: string, description: string];
  /** Checks the sampling settings and fills in the defaults. */
  protected abstract readonly readSampling: SamplingReader<Settings>;
  readonly #options: CodeGeneratorOptions<Model>;
  readonly #update: Update;
  #cached: CachedEncodings | undefined;

  /** Makes the objective for a model, its optimiser and a first stage. */
  constructor(options: CodeGeneratorOptions<Model>) {
    super();
    this.model = options.model;
    this.optimizer = options.optimizer;
    this.#options = options;
    this.#update = new Update(this.model.parameters(), this.optimizer, options);
  }

  /** The number of classes that the model is conditioned on; 0 without classes. */
  get classes(): number {
    return this.model.classes;
  }

  /** The shape of an image's codes: `[h, w, ...codeAxes]`, or `codeAxes` if codes describe whole grids. */
  get codeShape(): Shape {
    return codeShapeOf(this.#options.stage1, this.#options.dataset);
  }

  /** K: the number of codes of the first stage. */
  protected get codebookSize(): number {
    return this.#options.stage1.codebookSize;
  }

  /** Encodes images: float32 `[B, H, W, C]` → int32 `[B, positions]`. */
  protected encode(images: Tensor): Tensor {
    const { indices } = this.#options.stage1.encode(images);
    return reshape(indices, [images.shape[0], sizeOf(this.codeShape)]);
  }

  /** The class labels for the model, int32 `[B]`. In training some of them are hidden. */
  protected told(
    device: Device,
    count: number,
    labels: Tensor | undefined,
    { training, key, replicas = SINGLE }: Context,
  ): Tensor {
    const { classes: none } = this, { classDropout: rate } = this.#options;
    if (none === 0 || labels === undefined) return full(device, [count], none, "int32");
    return training ? dropClasses(labels, { rate, none, key: partKey(key, 0), replicas }) : labels;
  }

  /** The codes that a step learns from; by default those of the images.
   * @param key the key for random draws
   * @param replicas the processes that share the batch
   */
  protected encodeInTraining(
    images: Tensor,
    _key: RandomKey,
    _replicas: Replicas,
  ): EncodedCodes {
    return { codes: this.encode(images) };
  }

  /** The losses of the model on codes.
   * @param labels int32 `[B]`, as from `told`
   */
  protected abstract losses(
    encoded: EncodedCodes,
    labels: Tensor,
    context: Context,
    options: LossOptions,
  ): CodeLosses;

  /** Measures for every position, by name. */
  protected series({ bitsOfPositions }: CodeStatistics): Record<string, readonly number[]> {
    return { [`${this.measure[0]}OfPositions`]: bitsOfPositions };
  }

  /** Draws codes.
   * @returns `[count, positions]`
   */
  protected abstract draw(
    device: Device,
    request: CodeRequest<Settings>,
  ): Promise<Int32Array<ArrayBuffer>>;

  /** Encodes the training images, if their codes are cached. */
  override async prepare(
    device: Device,
    replicas?: Replicas,
    onMessage?: (message: string) => void,
  ): Promise<void> {
    const encode = (images: Tensor) => this.encode(images);
    this.#cached ??= await openCache(device, { ...this.#options, encode, replicas, onMessage });
  }

  /** Frees the model, and closes the cache. */
  override dispose(): void {
    this.#cached?.[Symbol.dispose]();
    this.#cached = undefined;
    super.dispose();
  }

  /** Makes a training step. The loss is the mean of −ln p over the target codes. */
  step(
    { images, labels, indices }: TrainingBatch,
    { step, ...context }: StepContext,
  ): Readonly<Record<string, Tensor>> {
    const { device, shape: [count] } = images, { smoothing } = this.#options;
    const { replicas = SINGLE } = context, first = replicas.rank * count;
    using scope = device.scope();
    device.phase("codes");
    const key = partKey(context.key, 2);
    const encoded = this.#cached === undefined || indices === undefined
      ? withoutGradients(() => this.encodeInTraining(images, key, replicas))
      : { codes: this.#cached.read(device, indices, key, first) };
    device.phase("forward");
    const told = this.told(device, count, labels, context);
    const { losses, targets } = this.losses(encoded, told, context, { smoothing, first });
    const counted = meanOverRanks(sum(cast(greaterEqual(targets, 0), "float32")), replicas);
    const loss = scope.keep(div(sum(losses), maximum(counted, 1 / replicas.count)));
    device.phase("backward");
    const gradients = backward(loss, this.#update.parameters, { spent: scope });
    device.phase("optimizer");
    this.#update.step(gradients, step, [], replicas);
    return { loss };
  }

  /** The learning rate. */
  learningRates(step: number): Scalars {
    return { learningRate: this.#update.learningRate(step) };
  }

  /** Each process measures its own batches. */
  override get measuresParts(): boolean {
    return true;
  }

  /** Measures how well the model predicts the codes, and the entropies of the code frequencies for comparison. */
  async evaluate(
    split: MeasuredSplit,
    batches: AsyncIterable<Batch>,
    context: Context,
  ): Promise<ObjectiveEvaluation> {
    const { dataset } = this.#options, { imageShape } = dataset;
    const [{ device }] = this.model.parameters();
    const statistics = new CodeStatistics(sizeOf(this.codeShape), this.codebookSize);
    let done = 0;
    for await (const batch of batches) {
      const { first = done } = batch;
      using _scope = device.scope();
      const images = device.tensor(batch.images, [batch.count, ...imageShape]);
      const given = batch.labels && device.tensor(batch.labels, [batch.count]);
      const { codes, targets, losses } = withoutGradients(() => {
        const codes = this.encode(images);
        const labels = this.told(device, batch.count, given, context);
        return { codes, ...this.losses({ codes }, labels, context, { smoothing: 0, first }) };
      });
      done = first + batch.count;
      statistics.add({
        codes: await codes.integers(),
        targets: await targets.integers(),
        losses: await losses.floats(),
      });
    }
    await statistics.addAll(device, context.replicas ?? SINGLE);
    const images = measuredImages(dataset, { split, precision: device.precision });
    const { measure, codeShape, codebookSize } = this;
    return await codeEvaluation(statistics, {
      measure,
      measured: { ...images, codeShape, codebookSize },
      series: this.series(statistics),
    });
  }

  /** Checks a request, and returns how its images are drawn.
   * @throws {RangeError} the settings do not fit the model, a class or code does not exist, or guidance is requested
   * from a model that always saw the class in training
   */
  protected override plan(device: Device, request: GenerateRequest): Drawing {
    const { key, signal } = request;
    const { stage1, dataset: { imageShape } } = this.#options, { codeShape } = this;
    const settings = this.readSampling(request.settings);
    checkChoice(settings, this.codebookSize);
    this.checkLabels(request);
    this.#checkGuidance(request, settings);
    const given = knownCodes(request, this.#options);
    const positions = sizeOf(codeShape);
    const draw = async ({ first, count, onShare }: DrawnPart) => {
      const codes = await this.draw(device, {
        count,
        first,
        key,
        labels: this.#labels(request, settings, first, count),
        given: given?.subarray(first * positions, (first + count) * positions),
        settings,
        onShare: (share, sofar) =>
          onShare(share, () => decodePartial(device, this.#options, sofar)),
        signal,
      });
      using _scope = device.scope();
      const decoded = stage1.decode(device.tensor(codes, [count, ...codeShape]));
      return { images: await decoded.floats(), codes };
    };
    return { imageShape, codeShape, draw };
  }

  /** The known codes of images of which some pixels are known. A code is known if all of its pixels are. An encoder
   * also sees pixels around those of a code: blank the hidden pixels if the codes must not depend on them.
   * @param images the values of `[count, H, W, C]` in [−1, 1]
   * @param pixels `[count, H, W]`: 1 where a pixel is known, 0 where it is hidden
   * @throws {RangeError} the arrays do not hold the same whole number of images, or codes describe whole grids
   */
  async given(device: Device, images: Float32Array, pixels: Uint8Array): Promise<Given> {
    return await encodeKnown(device, this.#options, images, pixels);
  }

  /** Draws sample images. If there are classes, the images take each class in turn. */
  override async samples(device: Device, context: Context): Promise<Uint8Array<ArrayBuffer>> {
    const shown = { count: SAMPLES, settings: {}, imageShape: this.#options.dataset.imageShape };
    return await drawClassSamples(this, device, context, shown);
  }

  #labels(
    { labels }: GenerateRequest,
    { guidance }: Settings,
    first: number,
    count: number,
  ): Int32Array<ArrayBuffer> {
    const none = new Int32Array(count).fill(this.classes);
    if (labels === undefined) return none;
    const own = Int32Array.from(labels.subarray(first, first + count));
    return guidance === 1 ? own : Int32Array.of(...own, ...none);
  }

  #checkGuidance({ labels }: GenerateRequest, { guidance }: Settings): void {
    const { classDropout } = this.#options;
    if (guidance !== 1 && labels === undefined) {
      throw new RangeError(
        `Cannot sample with guidance ${guidance}: classes must be requested, got none`,
      );
    }
    const needsNone = guidance !== 1 || labels === undefined;
    if (this.classes > 0 && needsNone && classDropout === 0) {
      throw new RangeError(
        `Cannot sample ${
          labels === undefined ? "any class" : "with guidance"
        }: the model must have been trained with objective.classDropout above 0, got 0`,
      );
    }
  }
}
