/** Holds out a part of the training images for choosing between models. */
import { permutation, randomKey } from "../core/random.ts";
import type { Dataset, Split } from "./dataset.ts";

/** A data set with a validation part. */
export interface HeldOut {
  /** The set without the images that were held out. */
  readonly training: Dataset;
  /** The held-out images, as the test part of a set. */
  readonly validation: Dataset;
}

/** Holds out a random fraction of the training images for validation; the seed determines which. The test images do not
 * change. The variance does not change either: it is that of all training images.
 *
 * ```ts
 * import { holdOut, openDigits } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { training, validation } = holdOut(await openDigits(), 0.1, 42);
 * assert.deepEqual(training.sizes, { train: 8103, validation: 900, test: 997 });
 * assert.equal(validation.sizes.test, 900);
 * ```
 * @param share the fraction, in (0, 1); at least one image is held out, and at least one remains
 * @throws {RangeError} the share is not in (0, 1), or the set can only be read in sequence
 */
export function holdOut(dataset: Dataset, share: number, seed: number): HeldOut {
  const { name, sizes, labels } = dataset;
  if (!(share > 0 && share < 1)) {
    throw new RangeError(
      `Cannot hold out images of ${name}: the share must be in (0, 1), got ${share}`,
    );
  }
  if (dataset.sequence !== undefined || sizes.train < 2) {
    throw new RangeError(
      `Cannot hold out images of ${name}: the set must be read by index and have two training images, got one in shards ` +
        "or smaller; use a data set with a validation part of its own",
    );
  }
  const order = permutation(randomKey(seed, "validation"), sizes.train);
  const count = Math.min(sizes.train - 1, Math.max(1, Math.round(share * sizes.train)));
  const [held, kept] = [order.slice(0, count).sort(), order.slice(count).sort()];
  const pick = (places: Int32Array, indices: Int32Array) => indices.map((index) => places[index]);
  const some = (places: Int32Array) => labels && pick(labels.train, places);
  return {
    training: {
      ...shared(dataset),
      sizes: { train: kept.length, validation: held.length, test: sizes.test },
      labels: labels && { train: some(kept)!, test: labels.test },
      images: (split: Split, indices, key) =>
        split === "test"
          ? dataset.images("test", indices, key)
          : dataset.images("train", pick(kept, indices), key),
    },
    validation: {
      ...shared(dataset),
      sizes: { train: sizes.train, test: held.length },
      labels: labels && { train: labels.train, test: some(held)! },
      images: (split: Split, indices, key) =>
        dataset.images("train", split === "test" ? pick(held, indices) : indices, key),
    },
  };
}

/** The fields that both sets have in common. */
function shared({ name, imageShape, variance, classes }: Dataset) {
  return { name, imageShape, variance, classes };
}
