/** The peak signal-to-noise ratio as a metric over many pairs of images. */
import { type ImageMetric, MeasuringMetric, type MetricDescription } from "./image_metric.ts";
import type { Images } from "./images.ts";
import { imageMse } from "./mse.ts";
import { PsnrSums } from "./psnr.ts";

/** A ratio over pairs of images, computed from the sums of their errors. */
export abstract class PsnrMetric extends MeasuringMetric implements ImageMetric {
  /** The metric's description. */
  readonly description: MetricDescription;
  /** The sums of the errors so far, for images in [−1, 1]. */
  protected readonly sums: PsnrSums = new PsnrSums(2);

  /** Starts with no pairs. */
  constructor(description: MetricDescription) {
    super();
    this.description = description;
  }

  /** The mean squared error of each pair. */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    return await Promise.resolve(Float64Array.from(imageMse(originals, reconstructions)));
  }

  /** Adds the error of each pair. */
  take(measured: Float64Array): void {
    for (const error of measured) this.sums.add(error);
  }

  /** The ratio in dB.
   * @throws {RangeError} there was no image
   */
  async result(): Promise<number> {
    if (this.sums.pairs === 0) {
      throw new RangeError(
        `Cannot give ${this.description.name}: at least one image is needed, got none`,
      );
    }
    return await Promise.resolve(this.ratioOf(this.sums));
  }

  /** Computes the ratio. */
  protected abstract ratioOf(sums: PsnrSums): number;

  /** Does nothing: there is nothing to free. */
  [Symbol.dispose](): void {}
}

/** The mean ratio over the pairs that differ. */
export class MeanPsnr extends PsnrMetric {
  /** How many pairs were equal. */
  get equalPairs(): number {
    return this.sums.equalPairs;
  }

  /** Computes the mean. */
  protected override ratioOf(sums: PsnrSums): number {
    return sums.mean;
  }
}

/** The ratio for the mean error over all pairs. */
export class PsnrOfMeanError extends PsnrMetric {
  /** Computes the ratio. */
  protected override ratioOf(sums: PsnrSums): number {
    return sums.ofMeanError;
  }
}
