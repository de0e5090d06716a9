/** Measures pairs of images with metrics chosen by name. Each number has its protocol. */
import { withoutGradients } from "../core/execute.ts";
import { clamp } from "../core/functions/elementwise.ts";
import type { Device } from "../core/tensor.ts";
import { FrechetMetric } from "../metrics/feature_metrics.ts";
import type { Gaussian } from "../metrics/feature_statistics.ts";
import type { Images } from "../metrics/images.ts";
import type { MetricOptions } from "../metrics/metric_kinds.ts";
import { Metrics, withCompanions } from "../metrics/registry.ts";
import { type Measurement, type MetricProtocol, protocolHash } from "../objectives/protocol.ts";

/** How values are rounded before the measurement. */
export type Rounding = "float" | "8-bit";

/** Description of the measured images, for the protocol. */
export type MeasuredPairs = Pick<MetricProtocol, "originals" | "imageShape">;

/** A metric that could not be measured. */
export interface Unmeasured {
  /** Its name in the registry. */
  readonly metric: string;
  /** The reason, in words. */
  readonly reason: string;
}

/** Measurements with their protocols. */
export interface Measurements {
  /** The measurements, in the order in which the metrics were named. */
  readonly measurements: readonly Measurement[];
  /** The metrics that could not be measured, with the reasons. */
  readonly unmeasured: readonly Unmeasured[];
  /** The protocols by hash. */
  readonly protocols: Readonly<Record<string, MetricProtocol>>;
}

/** Measures pairs of images batch by batch.
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
  readonly #device: Device;
  #images = 0;

  private constructor(metrics: Metrics, rounding: Rounding, device: Device) {
    this.#metrics = metrics;
    this.#rounding = rounding;
    this.#device = device;
  }

  /** Opens the metrics and their companions; see `Metrics.open` and `withCompanions`.
   * @throws {RangeError} a name is unknown
   */
  static async open(
    names: readonly string[],
    options: MetricOptions,
    rounding: Rounding,
  ): Promise<ImageEvaluation> {
    const metrics = await Metrics.open(withCompanions(names), options);
    return new ImageEvaluation(metrics, rounding, options.device);
  }

  /** The metrics that cannot be measured, as far as known. */
  get unmeasured(): readonly Unmeasured[] {
    return listed(this.#metrics.unmeasured);
  }

  /** Adds pairs of images in [−1, 1]; values outside are clipped. A metric that does not support these images is not
   * measured.
   * @throws {TypeError} the shapes differ, or do not match the number of values
   */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    this.take(await this.measure(originals, reconstructions), originals.shape[0]);
  }

  /** The names of the metrics that are measured, as far as known. */
  get names(): readonly string[] {
    return [...this.#metrics.byName.keys()];
  }

  /** Measures pairs of images without adding them; see `add`.
   * @returns what `take` adds, here or in another process, by the names of the metrics
   * @throws {TypeError} as `add`
   */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Map<string, Float64Array<ArrayBuffer>>> {
    using _scope = this.#device.scope();
    const isFloat = this.#rounding === "float";
    const [a, b] = [originals, reconstructions].map(({ values, shape, tensor }): Images => ({
      values: values.map(isFloat ? clip : toByteSteps),
      shape,
      tensor: isFloat && tensor?.device === this.#device
        ? withoutGradients(() => clamp(tensor, -1, 1))
        : undefined,
    }));
    return await this.#metrics.measure(a, b);
  }

  /** Adds pairs of images by what the metrics measured.
   * @param images how many pairs
   */
  take(measured: ReadonlyMap<string, Float64Array>, images: number): void {
    this.#metrics.take(measured);
    this.#images += images;
  }

  /** The measurements over all pairs so far, and the metrics without a measurement. */
  async result(pairs: MeasuredPairs): Promise<Measurements> {
    const measurements: Measurement[] = [];
    const protocols: Record<string, MetricProtocol> = {};
    const { values, unmeasured } = await this.#metrics.results();
    for (const [metric, value] of values) {
      const measured = this.#metrics.byName.get(metric)!;
      const { name, definition, better, decimals, weights = null } = measured.description;
      const caution = measured.caution?.() ?? null, equalPairs = measured.equalPairs ?? null;
      const { scale } = measured;
      const protocol: MetricProtocol = {
        ...pairs,
        images: this.#images,
        valueRange: [-1, 1],
        values: this.#rounding === "float" ? "clipped" : "clipped, 8-bit",
        precision: this.#device.precision,
        metric: `${name}: ${definition}`,
        caution,
        weights,
      };
      const hash = await protocolHash(protocol);
      protocols[hash] = protocol;
      measurements.push({
        ...{ metric, name, value, better, decimals },
        ...{ caution, equalPairs, ...scale === undefined ? {} : { scale }, protocol: hash },
      });
    }
    return { measurements, unmeasured: listed(unmeasured), protocols };
  }

  /** The feature statistics of the originals, which can replace the originals in another evaluation.
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

function listed(reasons: ReadonlyMap<string, string>): readonly Unmeasured[] {
  return Array.from(reasons, ([metric, reason]) => ({ metric, reason }));
}

function clip(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

/** The nearest value that a byte can represent. */
function toByteSteps(value: number): number {
  return Math.round((clip(value) + 1) / 2 * 255) / 255 * 2 - 1;
}
