/** What the generators share that make the codes of a first stage. */
import * as z from "zod";
import { backward, withoutGradients } from "../core/execute.ts";
import { full, uniform } from "../core/functions/creation.ts";
import { cast, div, greaterEqual, less, maximum, where } from "../core/functions/elementwise.ts";
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
import { drawOwnRows, meanOverRanks, type Replicas, SINGLE } from "../nn/replicas.ts";
import { Update, type UpdateOptions } from "../nn/update.ts";
import { type Cache, CachedEncodings, CACHES } from "./cached_encodings.ts";
import { CodeStatistics } from "./code_statistics.ts";
import { type Generated, type GenerateRequest, Generator, type Given } from "./generator.ts";
import { drawImages } from "./image_grid.ts";
import type { ObjectiveEvaluation, Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { type MeasuredImages, measuredImages, protocolHash } from "./protocol.ts";
import { checkChoice, CHOICE_SETTINGS, type ChoiceSettings } from "./samplers/choice.ts";

/** A model that tells codes. */
export interface CodeModel extends Module {
  /** How many classes it is told of. */
  readonly classes: number;
}

/** What a generator of codes is made of. */
export interface CodeGeneratorOptions<Model extends CodeModel> extends UpdateOptions {
  /** What is trained. */
  readonly model: Model;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** Makes images codes, and codes images. */
  readonly stage1: FirstStage;
  /** The images. */
  readonly dataset: Dataset;
  /** The share of the training images whose class the model is not told. */
  readonly classDropout: number;
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
  /** Which codes of training images are kept in memory; none by default. */
  readonly cache?: Cache;
}

/** Settings that generators of codes have in common. */
export interface CodeGeneratorSettings {
  /** Whether the model is told the classes. */
  readonly conditional: boolean;
  /** The share of the training images whose class it is not told. */
  readonly classDropout: number;
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
  /** Which codes of training images are kept in memory. */
  readonly cache: Cache;
}

/** Their schema.
 * @param smoothing its default
 */
export function codeGeneratorSchema(smoothing: number): z.ZodObject<
  { readonly [Name in keyof CodeGeneratorSettings]: z.ZodType<CodeGeneratorSettings[Name]> },
  z.core.$strict
> {
  return z.strictObject({
    conditional: z.boolean().default(false).describe("tells the model the images' classes"),
    classDropout: z.number().min(0).max(1).default(0.1)
      .describe("share of the training images whose class is not told, for guidance"),
    smoothing: z.number().min(0).max(1).default(smoothing)
      .describe("share of each target that is spread over all codes"),
    cache: z.enum([...CACHES]).default("none").describe(
      "codes of training images that are kept in memory: none, of the images as they are, of their mirror images too",
    ),
  });
}

/** How codes are sampled, whatever the generator. */
export interface CodeSamplingSettings extends ChoiceSettings {
  /** How far logits go from those of no class towards those of the class. */
  readonly guidance: number;
}

/** Their schema, to be spread into that of a generator's sampling. */
export const CODE_SAMPLING: typeof CHOICE_SETTINGS & { readonly guidance: z.ZodType<number> } = {
  ...CHOICE_SETTINGS,
  guidance: z.number().min(0).default(1)
    .describe("of classes: 1 samples as the model learned, more sharpens"),
};

/** Some images whose codes are to be drawn. */
export interface CodeRequest<Settings extends CodeSamplingSettings> {
  /** How many. */
  readonly count: number;
  /** The first one's number. */
  readonly first: number;
  /** Of everything random. */
  readonly key: RandomKey;
  /** Classes for the model, `[count]`; with guidance `[2·count]`, the second half without a class. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** `[count, positions]`: codes that are known, −1 for those that are to be drawn; none: all are. */
  readonly given?: Int32Array;
  /** How to sample. */
  readonly settings: Settings;
  /** Hears which share is done, and the codes, `[count, positions]`; −1 for those to come. */
  readonly onShare: (share: number, codes: Int32Array<ArrayBuffer>) => Promise<void> | void;
  /** Ends the work with an error. */
  readonly signal?: AbortSignal;
}

/** What a model made of the codes of some images. */
export interface CodeLosses {
  /** int32, one for each code: the codes that were to be told, −1 where none was. */
  readonly targets: Tensor;
  /** float32, one for each code: −ln of the probability of each. */
  readonly losses: Tensor;
}

/** The protocol of bits a code. */
interface CodesProtocol extends MeasuredImages {
  readonly codeShape: Shape;
  readonly codebookSize: number;
  readonly metrics: Readonly<Record<string, string>>;
}

/** Images drawn after an epoch. */
const SAMPLES = 32;
/** Images made or encoded at once. */
const BATCH = 64;

/** Rows and columns of an image's grid of features. */
export function gridOf(
  { downsampling }: FirstStage,
  { imageShape: [height, width] }: Dataset,
): readonly [height: number, width: number] {
  return [height / downsampling, width / downsampling];
}

/** Refuses a first stage whose codes are of whole grids instead of positions.
 * @throws {RangeError} they are
 */
export function checkPositions({ grid }: FirstStage, what: string): void {
  if (grid === undefined) return;
  throw new RangeError(
    `Cannot make ${what}: each position must have its own codes, got a first stage with codes of whole grids; ` +
      "--objective.type next-scale takes those of a multi-scale quantizer",
  );
}

/** Refuses a first stage with several codes a position.
 * @throws {RangeError} it has, or its codes are of whole grids
 */
export function checkOneCode(stage1: FirstStage, what: string): void {
  checkPositions(stage1, what);
  const { codeAxes } = stage1;
  if (codeAxes.length === 0) return;
  throw new RangeError(
    `Cannot make ${what}: the first stage must have one code a position, got [${codeAxes}]; ` +
      "--objective.type residual-autoregression takes several",
  );
}

/** What images are encoded to. */
export interface EncodedCodes {
  /** int32 `[B, positions]`. */
  readonly codes: Tensor;
  /** What each code stands for, where targets are spread over the codes that are near it. */
  readonly near?: NearTargets;
}

/** How codes are told. */
export interface LossOptions {
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
  /** The number of the first image: what is drawn for an image depends on the key and its number alone. */
  readonly first: number;
}

/** A generator of the codes of a first stage. */
export abstract class CodeGenerator<
  Model extends CodeModel = CodeModel,
  Settings extends CodeSamplingSettings = CodeSamplingSettings,
> extends Generator {
  /** What is trained. */
  readonly model: Model;
  /** Steps its parameters. */
  readonly optimizer: Optimizer;
  /** The names of the scalars. */
  readonly scalars: readonly string[] = ["loss"];
  /** What is measured: its name, and what it is in words. */
  protected abstract readonly measure: readonly [name: string, description: string];
  readonly #options: CodeGeneratorOptions<Model>;
  readonly #update: Update;
  #cached: CachedEncodings | undefined;

  /** Takes up a model, its optimiser and a first stage. */
  constructor(options: CodeGeneratorOptions<Model>) {
    super();
    this.model = options.model;
    this.optimizer = options.optimizer;
    this.#options = options;
    this.#update = new Update(this.model.parameters(), this.optimizer, options);
  }

  /** How many classes the model is told of. */
  get classes(): number {
    return this.model.classes;
  }

  /** `[h, w, ...codeAxes]`, or `codeAxes` if codes are of whole grids. */
  get codeShape(): Shape {
    const { stage1, dataset } = this.#options;
    return stage1.codeShape(...gridOf(stage1, dataset));
  }

  /** K of the first stage. */
  protected get codebookSize(): number {
    return this.#options.stage1.codebookSize;
  }

  /** The codes of images: float32 `[B, H, W, C]` → int32 `[B, positions]`. */
  protected encode(images: Tensor): Tensor {
    const { indices } = this.#options.stage1.encode(images);
    return reshape(indices, [images.shape[0], sizeOf(this.codeShape)]);
  }

  /** What the model is told of the classes, int32 `[B]`: in training some of them are hidden. */
  protected told(
    device: Device,
    count: number,
    labels: Tensor | undefined,
    { training, key, replicas = SINGLE }: Context,
  ): Tensor {
    const { classes } = this, { classDropout } = this.#options;
    if (classes === 0 || labels === undefined) return full(device, [count], classes, "int32");
    if (!training || classDropout === 0) return labels;
    const drawn = drawOwnRows(
      [count],
      replicas,
      (shape) => uniform(device, shape, partKey(key, 0)),
    );
    return where(less(drawn, classDropout), classes, labels);
  }

  /** The codes that a step learns from; by default those of the images.
   * @param key of what is drawn
   * @param replicas whose images make the batch
   */
  protected encodeInTraining(
    images: Tensor,
    _key: RandomKey,
    _replicas: Replicas,
  ): EncodedCodes {
    return { codes: this.encode(images) };
  }

  /** What the model makes of codes.
   * @param labels int32 `[B]`, as `told`
   */
  protected abstract losses(
    encoded: EncodedCodes,
    labels: Tensor,
    context: Context,
    options: LossOptions,
  ): CodeLosses;

  /** Checks settings of sampling and fills in the defaults.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  protected abstract readSampling(settings: Readonly<Record<string, unknown>>): Settings;

  /** Numbers for every position, by name. */
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

  /** Encodes the training images where their codes are kept. */
  override async prepare(device: Device): Promise<void> {
    const { dataset, cache = "none" } = this.#options;
    if (cache === "none" || this.#cached !== undefined) return;
    const encode = (images: Tensor) => this.encode(images);
    this.#cached = await CachedEncodings.encode(device, dataset, cache, encode);
  }

  /** Takes a step: the mean of −ln p over the codes that are to be told. */
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

  /** Each process measures its batches. */
  override get measuresParts(): boolean {
    return true;
  }

  /** Measures how well codes are told, beside the entropies of their frequencies. */
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
    const { images } = statistics;
    if (images === 0) throw new RangeError("Cannot evaluate: there must be a batch, got none");
    const { bits, unigramBits, positionBits } = statistics;
    const [name, description] = this.measure;
    const protocol: CodesProtocol = {
      ...measuredImages(dataset, { split, precision: device.precision }),
      codeShape: this.codeShape,
      codebookSize: this.codebookSize,
      metrics: {
        [name]: description,
        unigramBits: "entropy in bits of the codes' frequencies in these images",
        positionBits:
          "entropy in bits of the codes' frequencies at each position in these images, the mean over the positions",
      },
    };
    const hash = await protocolHash(protocol);
    return {
      numbers: { images, [name]: bits, unigramBits, positionBits },
      series: this.series(statistics),
      protocol: hash,
      rankBy: name,
      better: "lower",
      protocols: { [hash]: protocol },
      shown: [
        ["bits a code", bits.toFixed(3)],
        ["by frequency", unigramBits.toFixed(2)],
        ["and position", positionBits.toFixed(2)],
      ],
    };
  }

  /** Makes images.
   * @throws {RangeError} the settings do not fit the model, there is no such class or code, or guidance is asked for of a
   * model that was always told the class
   */
  async generate(device: Device, request: GenerateRequest): Promise<Generated> {
    const { count, batchSize = BATCH, trace, onProgress, signal } = request;
    const { stage1, dataset } = this.#options, { codeShape } = this;
    const settings = this.readSampling(request.settings);
    checkChoice(settings, this.codebookSize);
    this.checkLabels(request);
    this.#checkGuidance(request, settings);
    const given = this.#given(request);
    const positions = sizeOf(codeShape), imageSize = sizeOf(dataset.imageShape);
    const images = new Float32Array(count * imageSize), codes = new Int32Array(count * positions);
    for (let first = 0; first < count; first += batchSize) {
      const own = Math.min(batchSize, count - first);
      const drawn = await this.draw(device, {
        count: own,
        first,
        key: request.key,
        labels: this.#labels(request, settings, first, own),
        given: given?.subarray(first * positions, (first + own) * positions),
        settings,
        onShare: async (share, sofar) => {
          onProgress?.(Math.floor(first + share * own), count);
          if (first === 0) await trace?.add(share, () => this.#unfinished(device, sofar));
        },
        signal,
      });
      codes.set(drawn, first * positions);
      using _scope = device.scope();
      const decoded = stage1.decode(device.tensor(drawn, [own, ...codeShape]));
      images.set(await decoded.floats(), first * imageSize);
      onProgress?.(first + own, count);
    }
    return { images, codes, codeShape };
  }

  /** Images of which some codes are still to come, −1. Their pixels are grey; where codes are of whole grids, the image is
   * what the codes so far add up to. */
  async #unfinished(
    device: Device,
    codes: Int32Array<ArrayBuffer>,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { stage1, dataset: { imageShape: [height, width, channels] } } = this.#options;
    const each = sizeOf(this.codeShape), shape = [codes.length / each, ...this.codeShape];
    using _scope = device.scope();
    if (stage1.grid !== undefined) return await stage1.decode(device.tensor(codes, shape)).floats();
    const [rows, columns] = this.codeShape, depth = each / (rows * columns);
    const indices = device.tensor(codes.map((code) => Math.max(code, 0)), shape);
    const images = await stage1.decode(indices).floats();
    return images.map((value, at) => {
      const pixel = Math.floor(at / channels), image = Math.floor(pixel / (height * width));
      const row = Math.floor(Math.floor(pixel / width) % height * rows / height);
      const column = Math.floor(pixel % width * columns / width);
      const last = image * each + (row * columns + column + 1) * depth - 1;
      return codes[last] < 0 ? 0 : value;
    });
  }

  /** What is known of images of which some pixels are: their codes, of which those are known whose pixels all are. An
   * encoder looks beyond a code's own pixels: blank the hidden ones where codes must not know of them.
   * @param images the values of `[count, H, W, C]` in [−1, 1]
   * @param pixels `[count, H, W]`: 1 where a pixel is known, 0 where it is hidden
   * @throws {RangeError} they are not of as many whole images, or codes are of whole grids
   */
  async given(device: Device, images: Float32Array, pixels: Uint8Array): Promise<Given> {
    this.#checkCompletes();
    const { imageShape: [height, width, channels] } = this.#options.dataset;
    const [rows, columns] = this.codeShape, each = sizeOf(this.codeShape);
    const count = images.length / (height * width * channels);
    if (!Number.isInteger(count) || count < 1 || pixels.length !== count * height * width) {
      throw new RangeError(
        `Cannot complete images: whole images of ${height}×${width}×${channels} values and a mask of as many pixels are needed, got ${images.length} values and ${pixels.length} pixels`,
      );
    }
    const codes = new Int32Array(count * each), known = new Uint8Array(count * rows * columns);
    known.fill(1);
    pixels.forEach((one, at) => {
      const y = Math.floor(at / width) % height, image = Math.floor(at / width / height);
      const row = Math.floor(y * rows / height), column = Math.floor(at % width * columns / width);
      if (one === 0) known[(image * rows + row) * columns + column] = 0;
    });
    for (let first = 0; first < count; first += BATCH) {
      using _scope = device.scope();
      const own = Math.min(BATCH, count - first), size = height * width * channels;
      const part = Float32Array.from(images.subarray(first * size, (first + own) * size));
      const tensor = device.tensor(part, [own, height, width, channels]);
      const encoded = withoutGradients(() => this.encode(tensor));
      codes.set(await encoded.integers(), first * each);
    }
    return { codes, known };
  }

  /** Draws images, of every class in turn where there are classes. */
  override async samples(device: Device, { key }: Context): Promise<Uint8Array<ArrayBuffer>> {
    const { classes } = this;
    const labels = classes === 0
      ? undefined
      : Int32Array.from({ length: SAMPLES }, (_, image) => image % classes);
    const { images } = await this.generate(device, { count: SAMPLES, key, labels, settings: {} });
    return drawImages(images, [SAMPLES, ...this.#options.dataset.imageShape]);
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

  #checkCompletes(): void {
    if (this.#options.stage1.grid === undefined) return;
    throw new RangeError(
      "Cannot complete images: each position must have its own codes, got codes of whole grids",
    );
  }

  #checkGuidance({ labels }: GenerateRequest, { guidance }: Settings): void {
    const { classDropout } = this.#options;
    if (guidance !== 1 && labels === undefined) {
      throw new RangeError(
        `Cannot sample with guidance ${guidance}: classes must be asked for, got none`,
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

  /** What is known of the codes, −1 where a code is to be drawn. */
  #given({ given, count }: GenerateRequest): Int32Array | undefined {
    if (given === undefined) return undefined;
    this.#checkCompletes();
    const [height, width, ...axes] = this.codeShape;
    const { codes, known } = given, each = sizeOf(axes);
    const places = count * height * width;
    if (codes.length !== places * each || known.length !== places) {
      throw new RangeError(
        `Cannot complete images: ${
          places * each
        } codes and a mask of ${places} are needed, got ${codes.length} and ${known.length}`,
      );
    }
    return codes.map((code, at) => {
      if (known[Math.floor(at / each)] === 0) return -1;
      if (code >= 0 && code < this.codebookSize) return code;
      throw new RangeError(
        `Cannot complete images: a known code must be in [0, ${this.codebookSize}), got ${code}`,
      );
    });
  }
}
