/** The interface of image metrics. */
import type { FrechetScale } from "./frechet.ts";
import type { Images } from "./images.ts";

/** The description of a metric. */
export interface MetricDescription {
  /** Its name: `SSIM`. */
  readonly name: string;
  /** Its exact definition in words. */
  readonly definition: string;
  /** Which way is better. */
  readonly better: "higher" | "lower";
  /** How many decimals to show. */
  readonly decimals: number;
  /** The hash of its network's weights, if it uses a network. */
  readonly weights?: string;
}

/** A number over pairs of images, which are added batch by batch. */
export interface ImageMetric extends Disposable {
  /** The metric's description. */
  readonly description: MetricDescription;
  /** Adds pairs of images in [−1, 1].
   * @throws {TypeError} the shapes differ
   * @throws {RangeError} the images are too small
   */
  add(originals: Images, reconstructions: Images): Promise<void>;
  /** Measures pairs of images without adding them: the numbers that `take` adds, here or in another process.
   * @throws {TypeError} as `add`
   * @throws {RangeError} as `add`
   */
  measure(originals: Images, reconstructions: Images): Promise<Float64Array<ArrayBuffer>>;
  /** Adds pairs of images by what `measure` returned. */
  take(measured: Float64Array): void;
  /** The number over all pairs so far. It may be infinite, such as the PSNR of equal images.
   * @throws {RangeError} there are too few images
   */
  result(): Promise<number>;
  /** A warning in words, if there were too few images for the number to be reliable. */
  caution?(): string | undefined;
  /** How many equal pairs the number leaves out, for metrics that do so. */
  readonly equalPairs?: number;
  /** Reference points for the number, for Fréchet distances if they are known. */
  readonly scale?: FrechetScale;
}

/** A metric that adds pairs of images by measuring and taking them. */
export abstract class MeasuringMetric {
  /** Measures pairs of images without adding them. */
  abstract measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>>;
  /** Adds pairs of images by what `measure` returned. */
  abstract take(measured: Float64Array): void;

  /** Adds pairs of images. */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    this.take(await this.measure(originals, reconstructions));
  }
}

/** The mean over images of a number for each pair. */
export class MeanOverImages extends MeasuringMetric implements ImageMetric {
  /** The metric's description. */
  readonly description: MetricDescription;
  readonly #measure: (originals: Images, reconstructions: Images) => Promise<ArrayLike<number>>;
  readonly #dispose: () => void;
  #sum = 0;
  #images = 0;

  /** Makes a metric.
   * @param measure computes one number per image
   * @param dispose frees what `measure` uses
   */
  constructor(
    description: MetricDescription,
    measure: (originals: Images, reconstructions: Images) => Promise<ArrayLike<number>>,
    dispose: () => void = () => {},
  ) {
    super();
    this.description = description;
    this.#measure = measure;
    this.#dispose = dispose;
  }

  /** One number per image. */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    return Float64Array.from(await this.#measure(originals, reconstructions));
  }

  /** Adds one number per image. */
  take(measured: Float64Array): void {
    for (const value of measured) this.#sum += value;
    this.#images += measured.length;
  }

  /** The mean.
   * @throws {RangeError} there was no image
   */
  async result(): Promise<number> {
    if (this.#images === 0) {
      throw new RangeError(
        `Cannot give ${this.description.name}: at least one image is needed, got none`,
      );
    }
    return await Promise.resolve(this.#sum / this.#images);
  }

  /** Frees what `measure` uses. */
  [Symbol.dispose](): void {
    this.#dispose();
  }
}
