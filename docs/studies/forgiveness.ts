/** How much a first stage of digits forgives: replaces some codes of the test images by those of other images at the same
 * position, decodes, and prints the FID in digit features.
 *
 *     deno run -A docs/studies/forgiveness.ts RUN...
 */
import * as cb from "@codebook/codebook";

const SHARES = [0, 0.05, 0.1, 0.2], BATCH = 200;

using device = await cb.openDevice("cpu");
const digits = await cb.openDataset({ name: "digits" });
const size = digits.imageShape.reduce((a, b) => a * b), count = digits.sizes.test;

async function imagesOf(part: "train" | "test"): Promise<Float32Array<ArrayBuffer>> {
  return await digits.images(part, Int32Array.from({ length: digits.sizes[part] }, (_, at) => at));
}

const test = await imagesOf("test"), train = await imagesOf("train");
using classifier = await cb.trainDigitClassifier(
  device,
  { values: train, shape: [digits.sizes.train, ...digits.imageShape] },
  digits.labels!.train,
);

/** Runs `work` for the test images in batches: `first` is the number of the first image. */
async function inBatches(work: (first: number, images: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < count; first += BATCH) {
    using _scope = device.scope();
    await work(first, Math.min(BATCH, count - first));
  }
}

/** Some of the images, as a tensor with values in [−1, 1]. */
function tensorOf(values: Float32Array<ArrayBuffer>, first: number, images: number): cb.Tensor {
  const part = values.slice(first * size, (first + images) * size);
  return device.tensor(part.map((value) => Math.max(-1, Math.min(1, value))), [
    images,
    ...digits.imageShape,
  ]);
}

/** Mean and covariance of the images' features. */
async function gaussianOf(values: Float32Array<ArrayBuffer>): Promise<cb.Gaussian> {
  const statistics = new cb.FeatureStatistics(classifier.dimensions);
  await inBatches(async (first, images) => {
    const features = cb.withoutGradients(() => classifier.forward(tensorOf(values, first, images)));
    statistics.add(await features.floats());
  });
  return statistics.gaussian();
}

const real = await gaussianOf(test);
for (const folder of Deno.args) {
  using run = await cb.openRun(folder, device);
  const parts: Int32Array[] = [];
  let codeShape: readonly number[] = [];
  await inBatches(async (first, images) => {
    const { indices } = cb.withoutGradients(() => run.model.encode(tensorOf(test, first, images)));
    codeShape = indices.shape.slice(1);
    parts.push(await indices.integers());
  });
  const codes = Int32Array.from(parts.flatMap((part) => [...part]));
  const length = codes.length / count, distances: string[] = [];
  for (const share of SHARES) {
    const chances = await cb.uniform(device, [2, codes.length], cb.randomKey(1, "codes")).floats();
    const replaced = codes.map((code, at) => {
      const other = Math.floor(chances[codes.length + at] * count);
      return chances[at] < share ? codes[other * length + at % length] : code;
    });
    const decoded = new Float32Array(count * size);
    await inBatches(async (first, images) => {
      const own = replaced.slice(first * length, (first + images) * length);
      const indices = device.tensor(own, [images, ...codeShape]);
      const made = cb.withoutGradients(() => run.model.decode(indices));
      decoded.set(await made.floats(), first * size);
    });
    const distance = cb.frechetDistance(real, await gaussianOf(decoded));
    distances.push(`${100 * share} %: ${distance.toFixed(1)}`);
  }
  console.log(`${folder}  ${distances.join("  ")}`);
}
