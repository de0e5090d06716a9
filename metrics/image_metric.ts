/** What every measure of images has in common. */
import type { Images } from "./images.ts";

/** What a metric says of itself. */
export interface MetricDescription {
  /** What it is called: `SSIM`. */
  readonly name: string;
  /** How it is defined, in words that leave nothing open. */
  readonly definition: string;
  /** Which way is better. */
  readonly better: "higher" | "lower";
  /** Decimals that are worth showing. */
  readonly decimals: number;
  /** Tells its network's weights from all others, where it has a network. */
  readonly weights?: string;
}

/** A number about pairs of images, measured as the pairs come. */
export interface ImageMetric extends Disposable {
  /** What it is. */
  readonly description: MetricDescription;
  /** Takes pairs of images in [−1, 1].
   * @throws {TypeError} the shapes differ
   * @throws {RangeError} the images are too small
   */
  add(originals: Images, reconstructions: Images): Promise<void>;
  /** The number over all pairs so far; infinite where the metric is, as a ratio to no error.
   * @throws {RangeError} there are too few
   */
  result(): Promise<number>;
  /** What must be known to trust the number, in words, where it was measured on so few images that it misleads. */
  caution?(): string | undefined;
  /** How many pairs were equal and are left out of the number, of a metric that leaves them out. */
  readonly equalPairs?: number;
}

/** The mean over images of a number that each pair has. */
export class MeanOverImages implements ImageMetric {
  /** What it is. */
  readonly description: MetricDescription;
  readonly #measure: (originals: Images, reconstructions: Images) => Promise<ArrayLike<number>>;
  readonly #dispose: () => void;
  #sum = 0;
  #images = 0;

  /** Makes a metric.
   * @param measure gives one number an image
   * @param dispose frees what the measure needs
   */
  constructor(
    description: MetricDescription,
    measure: (originals: Images, reconstructions: Images) => Promise<ArrayLike<number>>,
    dispose: () => void = () => {},
  ) {
    this.description = description;
    this.#measure = measure;
    this.#dispose = dispose;
  }

  /** Measures pairs. */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    const values = await this.#measure(originals, reconstructions);
    for (let image = 0; image < values.length; image++) this.#sum += values[image];
    this.#images += values.length;
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

  /** Frees what the measure needs. */
  [Symbol.dispose](): void {
    this.#dispose();
  }
}
