/** FID in digit features between images and the test digits, for the scripts of this folder. */
import * as cb from "@codebook/codebook";

const BATCH = 200;

/** Opens the digits, and trains the classifier whose features the FID compares. */
export class DigitDistance implements Disposable {
  /** The test images, `[count, 28, 28, 1]`. */
  readonly test: Float32Array<ArrayBuffer>;
  /** Their digits. */
  readonly labels: Int32Array;
  readonly #device: cb.Device;
  readonly #classifier: cb.DigitClassifier;
  readonly #shape: readonly number[];
  #real: cb.Gaussian | undefined;

  private constructor(
    device: cb.Device,
    { imageShape, labels }: cb.Dataset,
    test: Float32Array<ArrayBuffer>,
    classifier: cb.DigitClassifier,
  ) {
    this.#device = device;
    this.#shape = imageShape;
    this.#classifier = classifier;
    this.test = test;
    this.labels = labels!.test;
  }

  /** Trains the classifier, which takes seconds. */
  static async open(device: cb.Device): Promise<DigitDistance> {
    const digits = await cb.openDataset({ name: "digits" });
    const imagesOf = async (part: "train" | "test") =>
      await digits.images(
        part,
        Int32Array.from({ length: digits.sizes[part] }, (_, at) => at),
      );
    const train: cb.Images = {
      values: await imagesOf("train"),
      shape: [digits.sizes.train, ...digits.imageShape],
    };
    const classifier = await cb.trainDigitClassifier(device, train, digits.labels!.train);
    return new DigitDistance(device, digits, await imagesOf("test"), classifier);
  }

  /** The number of test images. */
  get count(): number {
    return this.labels.length;
  }

  /** Runs `work` for the test images in batches: `first` is the number of the first image. */
  async inBatches(work: (first: number, images: number) => Promise<void>): Promise<void> {
    for (let first = 0; first < this.count; first += BATCH) {
      using _scope = this.#device.scope();
      await work(first, Math.min(BATCH, this.count - first));
    }
  }

  /** Some of the images, as a tensor with values in [−1, 1]. */
  tensorOf(values: Float32Array<ArrayBuffer>, first: number, images: number): cb.Tensor {
    const size = values.length / this.count;
    const part = values.slice(first * size, (first + images) * size);
    const clipped = part.map((value) => Math.max(-1, Math.min(1, value)));
    return this.#device.tensor(clipped, [images, ...this.#shape]);
  }

  /** The FID of as many images as there are test images. */
  async of(values: Float32Array<ArrayBuffer>): Promise<number> {
    this.#real ??= await this.#gaussianOf(this.test);
    return cb.frechetDistance(this.#real, await this.#gaussianOf(values));
  }

  async #gaussianOf(values: Float32Array<ArrayBuffer>): Promise<cb.Gaussian> {
    const statistics = new cb.FeatureStatistics(this.#classifier.dimensions);
    await this.inBatches(async (first, images) => {
      const pixels = this.tensorOf(values, first, images);
      const features = cb.withoutGradients(() => this.#classifier.forward(pixels));
      statistics.add(await features.floats());
    });
    return statistics.gaussian();
  }

  /** Frees the classifier. */
  [Symbol.dispose](): void {
    this.#classifier[Symbol.dispose]();
  }
}
