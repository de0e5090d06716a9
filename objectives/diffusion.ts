/** Diffusion: a generator that learns to remove noise (arXiv 2006.11239), from pixels or from the latents of a first
 * stage (arXiv 2112.10752). */
import { backward, withoutGradients } from "../core/execute.ts";
import { normal } from "../core/functions/creation.ts";
import { square, sub } from "../core/functions/elementwise.ts";
import { mean } from "../core/functions/reductions.ts";
import { philox, type RandomKey, randomKey } from "../core/random.ts";
import type { Shape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Batch } from "../data/batches.ts";
import type { Dataset, MeasuredSplit } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { partKey } from "../nn/initializers.ts";
import { meanSquaredError } from "../nn/losses.ts";
import type { Context } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import { drawOwnRows, type Replicas, SINGLE } from "../nn/replicas.ts";
import { Update, type UpdateOptions } from "../nn/update.ts";
import { readSettings } from "../settings/settings.ts";
import {
  type Cache,
  type CachedEncodings,
  type CachePlace,
  openCache,
} from "./cached_encodings.ts";
import { dropClasses } from "./class_dropout.ts";
import { drawClassSamples } from "./class_samples.ts";
import { codeShapeOf, gridOf } from "./code_stage.ts";
import type { DiffusionModel } from "./diffusion/model.ts";
import {
  addNoise,
  type Prediction,
  predictionTarget,
  type Strength,
} from "./diffusion/prediction.ts";
import { DIFFUSION_SAMPLING, type DiffusionSampling } from "./diffusion/sampling.ts";
import type { NoiseSchedule } from "./diffusion/schedule.ts";
import { type Drawing, type DrawnPart, type GenerateRequest, Generator } from "./generator.ts";
import { inOrder, type MeasuredBatch } from "./measured_parts.ts";
import type { ObjectiveEvaluation, Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { measuredImages, protocolHash } from "./protocol.ts";
import { guide } from "./samplers/guidance.ts";
import { sampleNoise } from "./samplers/noise.ts";
import { createSampler } from "./samplers/registry.ts";
import { sample } from "./samplers/sample.ts";

/** Options of the constructor. */
export interface DiffusionOptions extends UpdateOptions {
  /** The model that is trained. */
  readonly model: DiffusionModel;
  /** Updates the denoiser's parameters. */
  readonly optimizer: Optimizer;
  /** The images. */
  readonly dataset: Dataset;
  /** The first stage, if the model has latents: its features are the latents. Without it, the diffusion runs on
   * pixels. */
  readonly stage1?: FirstStage;
  /** The noise schedule: the strength of the noise at each timestep. */
  readonly schedule: NoiseSchedule;
  /** What the network predicts. */
  readonly prediction: Prediction;
  /** The probability that a step hides an image's class from the network; by default 0. Guidance needs it. */
  readonly dropClass?: number;
  /** Which features of the first stage are cached; by default none. */
  readonly cache?: Cache;
  /** Where they are cached; by default in memory. */
  readonly cacheIn?: CachePlace;
  /** The sampling settings of the images shown after an epoch. */
  readonly preview: DiffusionSampling;
}

/** The largest number of training images from which the latents' statistics are measured. */
const MEASURED = 1024;
/** How many images are encoded at once. */
const BATCH = 64;
/** The number of sample images after an epoch. */
const SHOWN = 16;
/** The key of the noise for test images: the same in every run, so that losses can be compared. */
const EVALUATION = randomKey(0, "diffusion evaluation");
/** Spreads the timesteps of test images evenly over the diffusion, for any number of images. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Trains a network on noisy images, each at a random timestep. The loss is the mean squared error of the network's
 * prediction.
 *
 * Latents are a first stage's features before quantisation. Sampled latents are quantised and decoded.
 *
 * ```ts
 * import {
 *   Adam, DiffusionModel, DiffusionObjective, memoryDataset, NoiseSchedule, openDevice, randomKey,
 *   SMALL_UNET, UNet, uniform,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "example");
 * const settings = { ...SMALL_UNET, width: 8, groups: 4, headChannels: 8 };
 * const denoiser = new UNet(device, { ...settings, channels: 1, classes: null, key });
 * const images = uniform(device, [2, 4, 4, 1], key, -1, 1);
 * const train = await images.floats();
 * const preview = { sampler: "ddim", eta: 0, variance: "large", steps: 2, guidance: 1 } as const;
 * using objective = new DiffusionObjective({
 *   model: new DiffusionModel(denoiser),
 *   optimizer: new Adam(denoiser.namedParameters()),
 *   dataset: memoryDataset({ name: "noise", imageShape: [4, 4, 1], train, test: train }),
 *   schedule: new NoiseSchedule({ type: "linear", times: 10 }),
 *   prediction: "epsilon",
 *   preview,
 *   learningRate: () => 1e-3,
 * });
 * {
 *   using _scope = device.scope();
 *   const { loss } = objective.step({ images }, { training: true, key, step: 0 });
 *   console.log(await loss.item()); // About 1: the network starts at zero.
 * }
 * const made = await objective.generate(device, { count: 3, key, settings: preview });
 * assert.equal(made.images.length, 3 * 16);
 * ```
 */
export class DiffusionObjective extends Generator {
  /** The model that is trained. */
  readonly model: DiffusionModel;
  /** Updates the denoiser's parameters. */
  readonly optimizer: Optimizer;
  /** The names of the scalars. */
  readonly scalars: readonly string[] = ["loss"];
  readonly #options: DiffusionOptions;
  readonly #update: Update;
  #cached: CachedEncodings | undefined;

  /** Makes the objective for a model and its optimiser.
   * @throws {RangeError} the model has classes, and the data set has none or fewer
   */
  constructor(options: DiffusionOptions) {
    super();
    const { model, optimizer } = options;
    this.#options = options;
    this.model = model;
    this.optimizer = optimizer;
    this.#update = new Update(model.denoiser.parameters(), optimizer, options);
    this.#checkClasses();
  }

  /** The number of classes that the network is conditioned on; 0 without classes. */
  get classes(): number {
    return this.model.denoiser.classes ?? 0;
  }

  /** Measures the latents' statistics, unless a checkpoint contained them. Encodes the training images, if their
   * features are cached. */
  override async prepare(
    device: Device,
    replicas?: Replicas,
    onMessage?: (message: string) => void,
  ): Promise<void> {
    const { stage1 } = this.#options, { latents } = this.model;
    if (stage1 === undefined || latents === undefined) return;
    if (latents.measured.value === 0) latents.measure(await this.#someFeatures(device, stage1));
    const encode = (images: Tensor) => stage1.features(images);
    const options = { ...this.#options, stage1, encode, replicas, onMessage };
    this.#cached ??= await openCache(device, options);
  }

  /** Frees the model, and closes the cache. */
  override dispose(): void {
    this.#cached?.[Symbol.dispose]();
    this.#cached = undefined;
    super.dispose();
  }

  /** Makes a training step. */
  step(
    batch: TrainingBatch,
    { key, step, replicas = SINGLE }: StepContext,
  ): Readonly<Record<"loss", Tensor>> {
    const { schedule } = this.#options;
    const { device, shape: [count] } = batch.images;
    const first = replicas.rank * count;
    using scope = device.scope();
    device.phase("forward");
    const original = withoutGradients(() => this.#originals(batch, partKey(key, 0), first));
    const words = new Uint32Array(4), drawn = partKey(key, 1);
    const times = Array.from({ length: count }, (_, image) => {
      philox(drawn, first + image, 0, words);
      return Math.floor(words[0] * 2 ** -32 * schedule.times);
    });
    const noise = drawOwnRows(
      original.shape,
      replicas,
      (shape) => normal(device, shape, partKey(key, 2)),
    );
    const labels = this.#toldLabels(batch, partKey(key, 3), replicas);
    const context = { training: true, key: partKey(key, 4), replicas };
    const { output, target } = this.#predict({ original, noise, times, labels }, context);
    const loss = scope.keep(meanSquaredError(output, target));
    device.phase("backward");
    const gradients = backward(loss, this.#update.parameters, { spent: scope });
    device.phase("optimizer");
    withoutGradients(() => this.#update.step(gradients, step, [], replicas));
    return { loss };
  }

  /** Each process measures its own batches. */
  override get measuresParts(): boolean {
    return true;
  }

  /** The mean loss of the test images. Each image has one timestep and one noise sample, the same in every run. */
  async evaluate(
    split: MeasuredSplit,
    batches: AsyncIterable<Batch>,
    context?: Context,
  ): Promise<ObjectiveEvaluation> {
    const { dataset, schedule, prediction } = this.#options;
    const { device } = this.#update.parameters[0];
    using _all = device.scope();
    const losses: Tensor[] = [], measured: MeasuredBatch[] = [];
    let done = 0;
    for await (const { images, labels, count, first = done } of batches) {
      using scope = device.scope();
      const told = this.classes === 0 || labels === undefined
        ? undefined
        : device.tensor(labels, [count]);
      const error = withoutGradients(() => {
        const original = this.#encode(device.tensor(images, [count, ...dataset.imageShape]));
        const times = Array.from(
          { length: count },
          (_, image) => Math.floor((first + image + 0.5) * GOLDEN % 1 * schedule.times),
        );
        const noise = sampleNoise(device, { first, count }, original.shape.slice(1), EVALUATION, 0);
        const context = { training: false, key: EVALUATION };
        const { output, target } = this.#predict({ original, noise, times, labels: told }, context);
        return mean(square(sub(output, target)), [1, 2, 3]);
      });
      losses.push(scope.keep(error));
      measured.push({ first, count });
      done = first + count;
    }
    const own = joined(Float32Array, await Promise.all(losses.map((tensor) => tensor.floats())));
    const values = await inOrder(device, own, measured, context?.replicas);
    const loss = values.reduce((sum, value) => sum + value, 0) / values.length;
    const protocol = {
      ...measuredImages(dataset, { split, images: values.length, precision: device.precision }),
      metrics: {
        loss:
          `mean squared error of the predicted ${prediction}, at one fixed time and noise an image`,
      },
    };
    const hash = await protocolHash(protocol);
    return {
      numbers: { images: values.length, loss },
      protocol: hash,
      rankBy: "loss",
      better: "lower",
      protocols: { [hash]: protocol },
      shown: [["loss", loss.toPrecision(5)]],
    };
  }

  /** The learning rate. */
  learningRates(step: number): Scalars {
    return { learningRate: this.#update.learningRate(step) };
  }

  /** Draws sixteen images in few steps. If the network has classes, the images take each class in turn. */
  override async samples(device: Device, context: Context): Promise<Uint8Array<ArrayBuffer>> {
    const { dataset: { imageShape }, preview } = this.#options;
    const shown = { count: SHOWN, settings: { ...preview }, imageShape };
    return await drawClassSamples(this, device, context, shown);
  }

  /** Checks a request, and returns how its images are drawn. If the model has classes and the request has no labels,
   * each image gets a random class.
   * @throws {RangeError} there are more steps than timesteps, a class does not exist, the model was not trained for
   * guidance, or a part of the images is given
   */
  protected override plan(device: Device, request: GenerateRequest): Drawing {
    const settings = readSettings(DIFFUSION_SAMPLING, request.settings, "sample");
    if (request.given !== undefined) {
      throw new RangeError(
        "Cannot complete images: a generator of codes is needed, got a diffusion model",
      );
    }
    const { count: all, key, signal } = request;
    const { schedule, prediction, stage1, dataset: { imageShape } } = this.#options;
    this.checkLabels(request);
    this.#checkGuidance(settings.guidance);
    const steps = schedule.walk(settings.steps).length;
    const sampler = createSampler(settings), shape = this.#sampleShape;
    const labels = request.labels ?? this.#anyLabels(all, key);
    const draw = async ({ first, count, onShare }: DrawnPart) => {
      using _scope = device.scope();
      const predict = this.#predictor(device, labels?.subarray(first, first + count), settings);
      const drawn = await sample(device, {
        ...{ first, count, shape, key, steps, schedule, prediction, sampler, predict },
        clip: stage1 === undefined,
        onStep: async (taken, original) => {
          signal?.throwIfAborted();
          await onShare(taken / steps, async () => await this.#decode(original).images.floats());
        },
      });
      const { images, indices } = this.#decode(drawn);
      return { images: await images.floats(), codes: await indices?.integers() };
    };
    return { imageShape, codeShape: this.#codeShape, draw };
  }

  /** The prediction of the network for noisy images, and its target. */
  #predict(
    { original, noise, times, labels }: {
      readonly original: Tensor;
      readonly noise: Tensor;
      readonly times: readonly number[];
      readonly labels: Tensor | undefined;
    },
    context: Context,
  ): { readonly output: Tensor; readonly target: Tensor } {
    const { prediction, schedule } = this.#options;
    const levels = times.map((time) => schedule.level(time));
    const strength = strengthOf(original.device, levels);
    const x = addNoise({ original, noise }, strength);
    const output = this.model.denoiser.forward(x, times, { ...context, labels });
    return { output, target: predictionTarget(prediction, { original, noise }, strength) };
  }

  /** The data of the diffusion: the latents of a batch, or the images themselves.
   * @param first as in `CachedEncodings.read`
   */
  #originals({ images, indices }: TrainingBatch, key: RandomKey, first: number): Tensor {
    const { latents } = this.model;
    if (this.#cached === undefined || latents === undefined || indices === undefined) {
      return this.#encode(images);
    }
    return latents.encode(this.#cached.read(images.device, indices, key, first));
  }

  #encode(images: Tensor): Tensor {
    const { stage1 } = this.#options, { latents } = this.model;
    if (stage1 === undefined || latents === undefined) return images;
    return latents.encode(stage1.features(images));
  }

  /** The images of drawn data. For latents, it quantises and decodes them, and also returns the codes. */
  #decode(drawn: Tensor): { readonly images: Tensor; readonly indices?: Tensor } {
    const { stage1 } = this.#options, { latents } = this.model;
    if (stage1 === undefined || latents === undefined) return { images: drawn };
    const indices = stage1.quantize(latents.decode(drawn));
    return { images: stage1.decode(indices), indices };
  }

  /** The class labels that the network gets in a step. */
  #toldLabels(
    { labels }: TrainingBatch,
    key: RandomKey,
    replicas: Replicas,
  ): Tensor | undefined {
    const { classes: none } = this, { dropClass: rate = 0 } = this.#options;
    if (none === 0 || labels === undefined) return undefined;
    return dropClasses(labels, { rate, none, key, replicas });
  }

  /** The guided prediction of the network, with a class for each image. */
  #predictor(device: Device, labels: Int32Array | undefined, { guidance }: DiffusionSampling) {
    const context = { training: false, key: EVALUATION };
    const { denoiser } = this.model;
    const told = (own: Int32Array | undefined) => (x: Tensor, time: number) => {
      const classes = own && device.tensor(own.slice(), [own.length]);
      const times = new Array<number>(x.shape[0]).fill(time);
      return denoiser.forward(x, times, { ...context, labels: classes });
    };
    return labels === undefined ? told(undefined) : guide(told(labels), told(undefined), guidance);
  }

  /** A random class for each image, if the model has classes and the request has no labels. */
  #anyLabels(count: number, key: RandomKey): Int32Array | undefined {
    if (this.classes === 0) return undefined;
    const words = new Uint32Array(4), own = partKey(key, 0);
    return Int32Array.from({ length: count }, (_, image) => {
      philox(own, image, 0, words);
      return Math.floor(words[0] * 2 ** -32 * this.classes);
    });
  }

  /** The shape of the diffusion's data for one image. */
  get #sampleShape(): Shape {
    const { stage1, dataset } = this.#options, { latents } = this.model;
    if (stage1 === undefined || latents === undefined) return dataset.imageShape;
    return [...gridOf(stage1, dataset), latents.channels];
  }

  /** The shape of an image's codes, if the diffusion runs on latents. */
  get #codeShape(): Shape | undefined {
    const { stage1, dataset } = this.#options;
    return stage1 && codeShapeOf(stage1, dataset);
  }

  /** The features of some training images, spread evenly over the set. */
  async #someFeatures(device: Device, stage1: FirstStage): Promise<Float32Array> {
    const { dataset } = this.#options, { train } = dataset.sizes;
    const count = Math.min(MEASURED, train), parts: Float32Array<ArrayBuffer>[] = [];
    const spread = dataset.sequence === undefined ? train / count : 1;
    for (let start = 0; start < count; start += BATCH) {
      const indices = Int32Array.from(
        { length: Math.min(BATCH, count - start) },
        (_, place) => Math.floor((start + place) * spread),
      );
      const images = await dataset.images("train", indices);
      using _scope = device.scope();
      const tensor = device.tensor(images, [indices.length, ...dataset.imageShape]);
      parts.push(await stage1.features(tensor).floats());
    }
    return joined(Float32Array, parts);
  }

  #checkClasses(): void {
    const { dataset: { name, labels, classes: names, sequence } } = this.#options,
      { classes } = this;
    if (classes === 0) return;
    const told = labels !== undefined || sequence !== undefined;
    if (told && names !== undefined && names.length === classes) return;
    throw new RangeError(
      `Cannot train with classes: the data set must have ${classes} classes, got ${
        names?.length ?? "none"
      } of ${name}`,
    );
  }

  #checkGuidance(guidance: number): void {
    const { dropClass = 0 } = this.#options;
    if (guidance === 1 || (this.classes > 0 && dropClass > 0)) return;
    throw new RangeError(
      `Cannot guide: guidance must be 1 with a model that was trained ${
        this.classes === 0 ? "without classes" : "without dropping classes (objective.dropClass 0)"
      }, got ${guidance}`,
    );
  }
}

/** α and σ of each image, `[B, 1, 1, 1]`. */
function strengthOf(
  device: Device,
  levels: readonly { readonly alpha: number; readonly sigma: number }[],
): Strength {
  const column = (values: number[]) => device.tensor(values, [values.length, 1, 1, 1]);
  return {
    alpha: column(levels.map(({ alpha }) => alpha)),
    sigma: column(levels.map(({ sigma }) => sigma)),
  };
}

/** Concatenates arrays. */
function joined<A extends Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(
  Kind: new (length: number) => A,
  parts: readonly A[],
): A {
  const whole = new Kind(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
