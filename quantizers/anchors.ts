/** Anchors: the features that the clustered codebook moves dead codes to (arXiv 2307.15139). */
import { uniform } from "../core/functions/creation.ts";
import { add, log, square, sub, where } from "../core/functions/elementwise.ts";
import { gather, nearest, type NearestOptions } from "../core/functions/indexing.ts";
import { concatenate, reshape } from "../core/functions/movement.ts";
import { argmax, sum } from "../core/functions/reductions.ts";
import type { Distance } from "../core/ops.ts";
import { permutation, philox, type RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Counter, Module } from "../nn/module.ts";
import { assignIf, fillRows, isAny, usableRows } from "./finite_features.ts";
import { gumbelNoise } from "./gumbel_softmax.ts";
import type { CodebookSettings } from "./method.ts";
import { randomRows } from "./replacement.ts";

/** The ways to sample anchors. */
export const ANCHOR_SAMPLINGS = ["closest", "random", "probrandom", "distinct", "error"] as const;

/** The name of a way to sample anchors. */
export type AnchorSampling = typeof ANCHOR_SAMPLINGS[number];

/** Chooses an anchor for every code: one of the features. */
export abstract class Anchors extends Module {
  /** Samples one anchor per code.
   * @param features float32 `[N, D]`, from this batch; features that are not finite never become anchors
   * @param codebook float32 `[K, D]`
   * @param key for the random choices
   * @param mask int32 `[N]`: 0 at padding, which never becomes an anchor; leave it out if there is no padding
   * @returns float32 `[K, D]`; zeros where the batch has no finite feature
   */
  abstract sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor;
}

/** Anchors that depend on the distance between features and codes. */
export abstract class LookupAnchors extends Anchors {
  /** Sets the distance.
   * @param distance the one that the lookup uses
   */
  constructor(protected readonly distance: Distance) {
    super();
  }
}

/** For each code the most similar feature, or one drawn by similarity. Rows that cannot be anchors are set to NaN,
 * which is never the nearest. */
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

/** For each code, the most similar feature of the batch, under the distance that the lookup uses. */
export class ClosestAnchors extends LookupAnchors {
  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, _key: RandomKey, mask?: Tensor): Tensor {
    return similarFeatures(features, codebook, mask, { distance: this.distance });
  }
}

/** For each code, a feature drawn from the batch with probabilities softmax(similarity). */
export class ProbabilisticAnchors extends LookupAnchors {
  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    return similarFeatures(features, codebook, mask, { distance: this.distance, noise: key });
  }
}

/** Distinct features of the batch, drawn uniformly, so that no two dead codes move to the same place. With more codes
 * than features, features repeat. This sampling is specific to this toolkit; it needs no lookup and no pool. */
export class DistinctAnchors extends Anchors {
  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    return randomRows(features, codebook.shape[0], key, mask);
  }
}

/** Random features from which the anchor of a code is drawn. */
const OFFERS = 16;
/** Keeps the logarithm finite if a feature equals its code. */
const LEAST_ERROR = 1e-12;
/** The logit of a row that cannot be an anchor. */
const NEVER = -1e30;

/** For each code one of sixteen random features, drawn with a probability proportional to its quantisation error ‖z − e‖²,
 * so that dead codes move to where the codebook is worst. k-means++ draws its centres in proportion to the same error
 * (Arthur and Vassilvitskii 2007); as a way to sample anchors it is specific to this toolkit. */
export class ErrorAnchors extends LookupAnchors {
  /** `[N, D]`, `[K, D]` → `[K, D]`. */
  sample(features: Tensor, codebook: Tensor, key: RandomKey, mask?: Tensor): Tensor {
    const { device, shape: [total] } = features;
    const [size] = codebook.shape;
    const { rows, present } = usableRows(features, mask);
    const chosen = gather(codebook, nearest(rows, codebook, { distance: this.distance }));
    const errors = sum(square(sub(rows, chosen)), -1);
    const logits = where(present, log(add(errors, LEAST_ERROR)), NEVER);
    const offers = device.tensor(randomOffers(size, total, key), [size * OFFERS]);
    const offered = reshape(gather(reshape(logits, [total, 1]), offers), [size, OFFERS]);
    const drawn = argmax(add(offered, gumbelNoise(offered, partKey(key, OFFERS))));
    const first = device.tensor(Int32Array.from({ length: size }, (_, code) => code * OFFERS), [
      size,
    ]);
    const anchors = gather(reshape(offers, [size * OFFERS, 1]), add(first, drawn));
    return gather(rows, reshape(anchors, [size]));
  }
}

/** The features offered to each code, `[size, OFFERS]`: every column is a permutation of all features, repeated. */
function randomOffers(size: number, total: number, key: RandomKey): Int32Array<ArrayBuffer> {
  const offers = new Int32Array(size * OFFERS);
  for (let offer = 0; offer < OFFERS; offer++) {
    const order = permutation(partKey(key, offer), total);
    for (let code = 0; code < size; code++) offers[code * OFFERS + offer] = order[code % total];
  }
  return offers;
}

/** Features from a pool of size K that also holds features of earlier batches. */
export class PooledAnchors extends Anchors {
  /** `[K, D]`: the pool; entries not yet filled are uniform in (−1/K, 1/K). */
  readonly pool: Tensor;
  /** The number of filled entries of the pool. */
  readonly filled: Counter = new Counter();

  /** Makes an empty pool.
   * @param key for the pool's initial values
   */
  constructor(device: Device, codebookSize: number, codebookDim: number, key: RandomKey) {
    super();
    const bound = 1 / codebookSize;
    this.pool = uniform(device, [codebookSize, codebookDim], key, -bound, bound);
  }

  /** Adds the batch to the pool and returns the pool: `[N, D]` → `[K, D]`. With a mask, the host does not know how many
   * features the batch holds, so K of them, drawn with replacement, replace the whole pool. A batch without a finite
   * feature does not change the pool. */
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

/** The source of the next value of each entry of the pool: entry k of the pool (k), or feature n of the batch (size +
 * n).
 *
 * With more features than entries, each entry draws a feature, with replacement. Otherwise the features fill the free
 * entries first; the others overwrite random entries, each at most once.
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

/** Makes the anchors for a sampling by its name.
 * @param key for a pool's initial values
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
    case "error":
      return new ErrorAnchors(distance);
  }
}
