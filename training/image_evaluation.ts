/** Measures pairs of images with metrics chosen by name, each number with its protocol. */
import { FrechetMetric } from "../metrics/feature_metrics.ts";
import type { Gaussian } from "../metrics/feature_statistics.ts";
import type { Images } from "../metrics/images.ts";
import type { MetricOptions } from "../metrics/metric_kinds.ts";
import { Metrics } from "../metrics/registry.ts";
import { type Measurement, type MetricProtocol, protocolHash } from "../objectives/protocol.ts";

/** How values are rounded before they are measured. */
export type Rounding = "float" | "8-bit";

/** What is measured, for the protocol. */
export type MeasuredPairs = Pick<MetricProtocol, "originals" | "imageShape">;

/** Numbers with the protocols that their hashes stand for. */
export interface Measurements {
  /** The numbers, in the order in which their metrics were named. */
  readonly measurements: readonly Measurement[];
  /** The protocols by hash. */
  readonly protocols: Readonly<Record<string, MetricProtocol>>;
}

/** Measures pairs of images as they come.
 *
 * ```ts
 * import { ImageEvaluation, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const options = {
 *   device,
 *   weights: null,
 *   digitClassifier: () => Promise.reject(new Error("not needed")),
 * };
 * using evaluation = await ImageEvaluation.open(["mae"], options, "float");
 * const images = (value: number) => ({
 *   values: new Float32Array(4).fill(value),
 *   shape: [1, 2, 2, 1] as const,
 * });
 * await evaluation.add(images(0), images(0.5));
 * const described = { originals: "an example", imageShape: [2, 2, 1] };
 * const { measurements } = await evaluation.result(described);
 * assert.equal(measurements[0].value, 0.5);
 * ```
 */
export class ImageEvaluation implements Disposable {
  readonly #metrics: Metrics;
  readonly #rounding: Rounding;
  #images = 0;

  private constructor(metrics: Metrics, rounding: Rounding) {
    this.#metrics = metrics;
    this.#rounding = rounding;
  }

  /** Opens the metrics; see `Metrics.open`.
   * @throws {RangeError | Error} as `Metrics.open`
   */
  static async open(
    names: readonly string[],
    options: MetricOptions,
    rounding: Rounding,
  ): Promise<ImageEvaluation> {
    return new ImageEvaluation(await Metrics.open(names, options), rounding);
  }

  /** Takes pairs of images in [−1, 1]; values outside count as the nearest inside.
   * @throws {TypeError | RangeError} as `ImageMetric.add`
   */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    const [a, b] = [originals, reconstructions].map(({ values, shape }) => ({
      values: values.map(this.#rounding === "float" ? clip : toByteSteps),
      shape,
    }));
    await this.#metrics.add(a, b);
    this.#images += originals.shape[0];
  }

  /** The numbers over all pairs so far.
   * @throws {RangeError} there are too few
   */
  async result(pairs: MeasuredPairs): Promise<Measurements> {
    const measurements: Measurement[] = [];
    const protocols: Record<string, MetricProtocol> = {};
    for (const metric of this.#metrics.byName.values()) {
      const { name, definition, better, decimals, weights = null } = metric.description;
      const protocol: MetricProtocol = {
        ...pairs,
        images: this.#images,
        valueRange: [-1, 1],
        values: this.#rounding === "float" ? "clipped" : "clipped, 8-bit",
        metric: `${name}: ${definition}`,
        weights,
      };
      const hash = await protocolHash(protocol);
      protocols[hash] = protocol;
      const value = await metric.result();
      measurements.push({ name, value, better, decimals, protocol: hash });
    }
    return { measurements, protocols };
  }

  /** The statistics of the originals' features, which can stand in their place in another evaluation.
   * @throws {RangeError} FID is not among the metrics, or there are too few images
   */
  reference(): Gaussian {
    const fid = this.#metrics.byName.get("fid");
    if (fid instanceof FrechetMetric) return fid.originals();
    const names = [...this.#metrics.byName.keys()].join(", ");
    throw new RangeError(`Cannot save statistics: fid must be among the metrics, got ${names}`);
  }

  /** Frees the networks. */
  [Symbol.dispose](): void {
    this.#metrics[Symbol.dispose]();
  }
}

function clip(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

/** The value that a byte stands for, that nearest to `value`. */
function toByteSteps(value: number): number {
  return Math.round((clip(value) + 1) / 2 * 255) / 255 * 2 - 1;
}
