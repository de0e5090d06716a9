/** Where dead codes are moved to: the anchors of the clustered codebook (arXiv 2307.15139). */
import { uniform } from "../core/functions/creation.ts";
import { where } from "../core/functions/elementwise.ts";
import { gather, nearest, type NearestOptions } from "../core/functions/indexing.ts";
import { concatenate, reshape } from "../core/functions/movement.ts";
import type { Distance } from "../core/ops.ts";
import { permutation, philox, type RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Counter, Module } from "../nn/module.ts";
import { assignIf, fillRows, isAny, usableRows } from "./finite_features.ts";
import type { CodebookSettings } from "./method.ts";
import { randomRows } from "./replacement.ts";

/** How anchors can be sampled. */
export const ANCHOR_SAMPLINGS = ["closest", "random", "probrandom", "distinct"] as const;

/** How anchors are sampled. */
export type AnchorSampling = typeof ANCHOR_SAMPLINGS[number];

/** Chooses a feature for every code. */
export abstract class Anchors extends Module {
  /** One anchor a code.
   * @param features float32 `[N, D]`, this batch's; those that are not finite are no anchors
   * @param codebook float32 `[K, D]`
   * @param key for random choices
   * @param mask int32 `[N]`: 0 where there is padding, which is no anchor; none without padding
   * @returns float32 `[K, D]`; zeros where the batch has no finite feature
   */
  abstract sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor;
}

/** Each code's most similar feature, or one drawn by similarity; NaN, which is never the nearest, stands for what is no
 * anchor. */
function similarFeatures(
  features: Tensor,
  codebook: Tensor,
  mask: Tensor | undefined,
  options: NearestOptions,
): Tensor {
  const { rows, present } = usableRows(features, mask);
  const candidates = where(reshape(present, [features.shape[0], 1]), features, NaN);
  return gather(rows, nearest(codebook, candidates, options));
}

/** The batch's feature most similar to each code, under the look-up's own distance. */
export class ClosestAnchors extends Anchors {
  readonly #distance: Distance;

  /** Samples under a distance.
   * @param distance the look-up's
   */
  constructor(distance: Distance) {
    super();
    this.#distance = distance;
  }

  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, _key: RandomKey, mask?: Tensor): Tensor {
    return similarFeatures(features, codebook, mask, { distance: this.#distance });
  }
}

/** For each code a feature drawn with probability softmax over the batch of the similarity. */
export class ProbabilisticAnchors extends Anchors {
  readonly #distance: Distance;

  /** Samples under a distance.
   * @param distance the look-up's
   */
  constructor(distance: Distance) {
    super();
    this.#distance = distance;
  }

  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    return similarFeatures(features, codebook, mask, { distance: this.#distance, noise: key });
  }
}

/** Different features of the batch, uniformly drawn, so that no two dead codes come to one place; with more codes than
 * features, every feature serves again. This toolkit's own; it needs no look-up and no pool. */
export class DistinctAnchors extends Anchors {
  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    return randomRows(features, codebook.shape[0], key, mask);
  }
}

/** Features from a pool of size K that remembers earlier batches. */
export class PooledAnchors extends Anchors {
  /** `[K, D]`: the pool, uniform in (−1/K, 1/K) where nothing is stored yet. */
  readonly pool: Tensor;
  /** How much of the pool is filled. */
  readonly filled: Counter = new Counter();

  /** Makes a pool with nothing stored.
   * @param key of the pool's first contents
   */
  constructor(device: Device, codebookSize: number, codebookDim: number, key: RandomKey) {
    super();
    const bound = 1 / codebookSize;
    this.pool = uniform(device, [codebookSize, codebookDim], key, -bound, bound);
  }

  /** Takes the batch into the pool, and gives the pool: `[N, D]` → `[K, D]`. With padding in the batch, how many
   * features it holds is not known here: the pool becomes K of them, drawn with replacement. A batch without a finite
   * feature leaves the pool as it is. */
  sample(features: Tensor, _codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    const size = this.pool.shape[0];
    const any = isAny(usableRows(features, mask).present);
    if (mask !== undefined) {
      const rows = randomRows(features, size, key, mask);
      assignIf(any, this.pool, rows);
      this.filled.value = size;
      return rows;
    }
    const sources = poolSources(size, this.filled.value, features.shape[0], key);
    const rows = gather(
      concatenate([this.pool, fillRows(features)]),
      features.device.tensor(sources, [size]),
    );
    assignIf(any, this.pool, rows);
    this.filled.value = Math.min(size, this.filled.value + features.shape[0]);
    return rows;
  }
}

/** For each place of the pool, where its next content comes from: k for itself, size + n for the batch's feature n.
 *
 * More features than places: each place draws one, with replacement. Else the features fill the free places, and
 * those that find none replace random places, without replacement.
 */
export function poolSources(
  size: number,
  filled: number,
  features: number,
  key: RandomKey,
): Int32Array<ArrayBuffer> {
  if (features > size) {
    const words = new Uint32Array(4);
    return Int32Array.from({ length: size }, (_, place) => {
      if (place % 4 === 0) philox(key, place >>> 2, 0, words);
      return size + Math.floor(words[place % 4] * 2 ** -32 * features);
    });
  }
  const sources = Int32Array.from({ length: size }, (_, place) => place);
  const stored = Math.min(features, size - filled);
  for (let n = 0; n < stored; n++) sources[filled + n] = size + n;
  if (stored < features) {
    const places = permutation(key, size);
    for (let n = stored; n < features; n++) sources[places[n - stored]] = size + n;
  }
  return sources;
}

/** Anchors by the name of their sampling.
 * @param key of a pool's first contents
 */
export function makeAnchors(
  device: Device,
  sampling: AnchorSampling,
  { distance, codebookSize, codebookDim }: CodebookSettings,
  key: RandomKey,
): Anchors {
  switch (sampling) {
    case "closest":
      return new ClosestAnchors(distance);
    case "random":
      return new PooledAnchors(device, codebookSize, codebookDim, key);
    case "probrandom":
      return new ProbabilisticAnchors(distance);
    case "distinct":
      return new DistinctAnchors();
  }
}
