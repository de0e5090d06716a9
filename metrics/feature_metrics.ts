/** Metrics that compare sets of images by the features of a network. */
import { withoutGradients } from "../core/execute.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { FeatureStatistics, type Gaussian } from "./feature_statistics.ts";
import { frechetDistance, type FrechetScale } from "./frechet.ts";
import type { ImageClassifier } from "./image_classifier.ts";
import { type ImageMetric, MeasuringMetric, type MetricDescription } from "./image_metric.ts";
import { type Images, imagesOn } from "./images.ts";
import { inceptionScore } from "./inception_score.ts";
import { type Features, meanKernelDistance } from "./kernel_distance.ts";

/** A network that computes features of images in [−1, 1]: float32 `[B, H, W, C]` → `[B, dimensions]`. */
export interface FeatureNetwork {
  /** The length of a feature. */
  readonly dimensions: number;
  /** Computes the features. */
  forward(images: Tensor): Tensor;
}

/** A classifier of a data set's classes, and reference points for Fréchet distances in its features. */
export interface LearntFeatures {
  /** The classifier; the caller frees it. */
  readonly classifier: ImageClassifier;
  /** Reference distances to the test images, among them that of an equal number of training images. */
  readonly scale: FrechetScale;
}

/** Computes features of images, once for all metrics that get the same images. */
export class FeatureExtractor {
  /** The length of a feature. */
  readonly dimensions: number;
  /** The network's device. */
  readonly device: Device;
  readonly #network: FeatureNetwork;
  readonly #known = new WeakMap<Images, Promise<Float32Array<ArrayBuffer>>>();

  /** Wraps a network. */
  constructor(device: Device, network: FeatureNetwork) {
    this.device = device;
    this.dimensions = network.dimensions;
    this.#network = network;
  }

  /** The features of images, `[count, dimensions]`. */
  features(images: Images): Promise<Float32Array<ArrayBuffer>> {
    const known = this.#known.get(images) ?? this.#compute(images);
    this.#known.set(images, known);
    return known;
  }

  async #compute(images: Images): Promise<Float32Array<ArrayBuffer>> {
    using _scope = this.device.scope();
    const there = imagesOn(this.device, images);
    return await withoutGradients(() => this.#network.forward(there)).floats();
  }
}

/** A metric over features. */
export abstract class FeatureMetric extends MeasuringMetric implements ImageMetric {
  /** The metric's description. */
  readonly description: MetricDescription;
  /** Computes the features. */
  protected readonly extractor: FeatureExtractor;

  /** Starts with no images. */
  constructor(description: MetricDescription, extractor: FeatureExtractor) {
    super();
    this.description = description;
    this.extractor = extractor;
  }

  /** The features of the originals, then those of the reconstructions. */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    const own = await this.extractor.features(originals);
    return joined(Float64Array, [own, await this.extractor.features(reconstructions)]);
  }

  /** The number over all pairs so far.
   * @throws {RangeError} there are too few images
   */
  abstract result(): Promise<number>;

  /** Does nothing: the creator of the extractor frees it. */
  [Symbol.dispose](): void {}
}

/** The Fréchet distance between the features of originals and of reconstructions; FID if they are Inception's. */
export class FrechetMetric extends FeatureMetric {
  readonly #originals: FeatureStatistics;
  readonly #reconstructions: FeatureStatistics;
  readonly #reference: Gaussian | undefined;
  /** Reference points for the number, if known. */
  readonly scale: FrechetScale | undefined;

  /** Starts with no images.
   * @param reference statistics that replace those of the originals
   * @param scale reference points for the number */
  constructor(
    description: MetricDescription,
    extractor: FeatureExtractor,
    { reference, scale }: { readonly reference?: Gaussian; readonly scale?: FrechetScale } = {},
  ) {
    super(description, extractor);
    this.scale = scale;
    this.#originals = new FeatureStatistics(extractor.dimensions);
    this.#reconstructions = new FeatureStatistics(extractor.dimensions);
    this.#reference = reference;
  }

  /** Without a reference, as every metric over features; with one, the features of the reconstructions. */
  override async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    if (this.#reference === undefined) return await super.measure(originals, reconstructions);
    return Float64Array.from(await this.extractor.features(reconstructions));
  }

  /** Adds the features of pairs. */
  take(measured: Float64Array): void {
    const start = this.#reference === undefined ? measured.length / 2 : 0;
    if (start > 0) this.#originals.add(Float32Array.from(measured.subarray(0, start)));
    this.#reconstructions.add(Float32Array.from(measured.subarray(start)));
  }

  /** The number over all pairs so far.
   * @throws {RangeError} there are too few images
   */
  async result(): Promise<number> {
    const distance = frechetDistance(this.originals(), this.#reconstructions.gaussian());
    return await Promise.resolve(distance);
  }

  /** Warns if a covariance is singular. */
  caution(): string | undefined {
    const { dimensions } = this.extractor;
    const counts = [this.#reconstructions.count];
    if (this.#reference === undefined) counts.push(this.#originals.count);
    const least = Math.min(...counts);
    if (least > dimensions) return undefined;
    return `with ${least} images and ${dimensions} features a covariance is singular, and the estimate is biased; ` +
      `it takes more than ${dimensions} images, and many more for an estimate to rely on`;
  }

  /** The statistics of the originals, which can be saved and reused. */
  originals(): Gaussian {
    return this.#reference ?? this.#originals.gaussian();
  }
}

/** The mean kernel distance between the features of originals and of reconstructions; KID if they are Inception's.
 * Keeps all features: 8 KiB per image for Inception's. */
export class KernelMetric extends FeatureMetric {
  readonly #originals: Float32Array<ArrayBuffer>[] = [];
  readonly #reconstructions: Float32Array<ArrayBuffer>[] = [];

  /** Adds the features of pairs. */
  take(measured: Float64Array): void {
    const half = measured.length / 2;
    this.#originals.push(Float32Array.from(measured.subarray(0, half)));
    this.#reconstructions.push(Float32Array.from(measured.subarray(half)));
  }

  /** The number over all pairs so far.
   * @throws {RangeError} there are too few images
   */
  async result(): Promise<number> {
    const [a, b] = [this.#originals, this.#reconstructions].map((parts): Features => {
      const values = joined(Float32Array, parts);
      return { values, count: values.length / this.extractor.dimensions };
    });
    return await meanKernelDistance(this.extractor.device, a, b);
  }
}

/** The Inception Score of the reconstructions. It ignores the originals. */
export class ScoreMetric extends FeatureMetric {
  readonly #logits: Float32Array<ArrayBuffer>[] = [];
  readonly #classify: (features: Tensor) => Tensor;
  #classes = 1;

  /** Starts with no images.
   * @param classify features `[B, dimensions]` → logits `[B, classes]` */
  constructor(
    description: MetricDescription,
    extractor: FeatureExtractor,
    classify: (features: Tensor) => Tensor,
  ) {
    super(description, extractor);
    this.#classify = classify;
  }

  /** The logits of the reconstructions. */
  override async measure(
    _originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    const { device, dimensions } = this.extractor;
    const features = await this.extractor.features(reconstructions);
    using _scope = device.scope();
    const rows = device.tensor(features, [features.length / dimensions, dimensions]);
    const logits = withoutGradients(() => this.#classify(rows));
    this.#classes = logits.shape[1];
    return Float64Array.from(await logits.floats());
  }

  /** Adds the logits of reconstructions. */
  take(measured: Float64Array): void {
    this.#logits.push(Float32Array.from(measured));
  }

  /** The number over all pairs so far.
   * @throws {RangeError} there are too few images
   */
  async result(): Promise<number> {
    return await Promise.resolve(inceptionScore(joined(Float32Array, this.#logits), this.#classes));
  }
}

function joined<A extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  Kind: new (length: number) => A,
  parts: readonly Float32Array[],
): A {
  const whole = new Kind(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
