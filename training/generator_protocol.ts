/** How a generator is measured. The numbers of two generators are comparable only if their protocols differ at most in
 * the sampling. */
import { createHash } from "node:crypto";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";

/** The protocol of the metrics of generated images as a set. */
export interface GeneratorProtocol {
  /** The real images. */
  readonly reference: string;
  /** Numbers of generated and of real images. */
  readonly images: readonly [generated: number, real: number];
  /** Height, width and channels. */
  readonly imageShape: readonly number[];
  /** Name of the features. */
  readonly features: string;
  /** Hash of the weights that compute the features. */
  readonly weights: string;
  /** How the generator was sampled. */
  readonly sampling: Readonly<Record<string, unknown>>;
  /** The precision of the computation. */
  readonly precision: string;
  /** How the metrics are defined. */
  readonly metrics: string;
}

/** The protocol of an evaluation, and its hash: the first 12 hexadecimal digits of the SHA-256 of its JSON. */
export function protocolOf(
  device: Device,
  dataset: Dataset,
  { count, sampling }: {
    readonly count: number;
    readonly sampling: Readonly<Record<string, unknown>>;
  },
  { name, hash: weights }: { readonly name: string; readonly hash: string },
): { readonly hash: string; readonly protocol: GeneratorProtocol } {
  const protocol: GeneratorProtocol = {
    reference: `${dataset.name}, test`,
    images: [count, dataset.sizes.test],
    imageShape: dataset.imageShape,
    features: name,
    weights,
    sampling,
    precision: device.precision,
    metrics:
      "FID: Fréchet distance of the features' normal distributions; KID: unbiased, subsets of 1,000; " +
      "precision, recall, density, coverage: k = 3; values clipped to [-1, 1]",
  };
  const hash = createHash("sha256").update(JSON.stringify(protocol)).digest("hex").slice(0, 12);
  return { hash, protocol };
}
