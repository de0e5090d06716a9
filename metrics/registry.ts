/** The image metrics that can be chosen by name. */
import { suggestName } from "../settings/nearest_name.ts";
import type { ImageMetric } from "./image_metric.ts";
import { checkPair, type Images } from "./images.ts";
import {
  METRIC_KINDS,
  type MetricKind,
  type MetricOptions,
  SharedNetworks,
} from "./metric_kinds.ts";

/** The names of the metrics. */
export const METRIC_NAMES: readonly string[] = [...METRIC_KINDS.keys()];

/** Parses the names of metrics, separated by commas.
 *
 * ```ts
 * import { parseMetricNames } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseMetricNames("ssim, sharpness"), ["ssim", "sharpness"]);
 * ```
 * @throws {RangeError} there is no metric of one of the names, or a metric is named twice
 */
export function parseMetricNames(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names) kindOf(name);
  if (new Set(names).size === names.length) return names;
  throw new RangeError(`Cannot choose metrics: each must be named once, got ${text}`);
}

/** The requirements of a metric besides images, in words.
 * @throws {RangeError} there is no metric of that name
 */
export function metricNeeds(name: string): string {
  return kindOf(name).needs;
}

/** Adds the companions of metrics, each after its own metric: KID after FID, and the PSNR of the mean error after the
 * mean PSNR.
 *
 * ```ts
 * import { withCompanions } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual(withCompanions(["fid", "ssim"]), ["fid", "kid", "ssim"]);
 * ```
 * @throws {RangeError} there is no metric of one of the names
 */
export function withCompanions(names: readonly string[]): readonly string[] {
  return names.flatMap((name) => {
    const { beside } = kindOf(name);
    return beside === undefined || names.includes(beside) ? [name] : [name, beside];
  });
}

function kindOf(name: string): MetricKind {
  const kind = METRIC_KINDS.get(name);
  if (kind !== undefined) return kind;
  throw new RangeError(
    `Cannot choose metrics: each must be one by name, got "${name}", ${
      suggestName(name, METRIC_NAMES)
    }`,
  );
}

/** The results of some metrics. */
export interface MetricResults {
  /** The measured numbers by name. */
  readonly values: ReadonlyMap<string, number>;
  /** For metrics without a number, the reason by name. */
  readonly unmeasured: ReadonlyMap<string, string>;
}

/** Some metrics, with the networks that they share. A metric that cannot be measured is left out with a reason, and the
 * others continue. */
export class Metrics implements Disposable {
  readonly #byName = new Map<string, ImageMetric>();
  readonly #unmeasured = new Map<string, string>();
  readonly #shared = new SharedNetworks();

  private constructor() {}

  /** Opens metrics by name: loads weights and trains the digit classifier if necessary.
   * @throws {RangeError} there is no metric of one of the names
   */
  static async open(names: readonly string[], options: MetricOptions): Promise<Metrics> {
    const kinds = names.map((name) => [name, kindOf(name)] as const);
    const metrics = new Metrics();
    for (const [name, kind] of kinds) {
      try {
        metrics.#byName.set(name, await kind.open(metrics.#shared, options));
      } catch (error) {
        metrics.#unmeasured.set(name, reasonOf(error));
      }
    }
    return metrics;
  }

  /** The metrics that could be measured so far, by their names in the registry. */
  get byName(): ReadonlyMap<string, ImageMetric> {
    return this.#byName;
  }

  /** Why each of the other metrics cannot be measured, by name. */
  get unmeasured(): ReadonlyMap<string, string> {
    return this.#unmeasured;
  }

  /** Adds a batch to every metric. A metric that rejects it is not measured.
   * @throws {TypeError} the shapes differ, or do not match the values
   */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    this.take(await this.measure(originals, reconstructions));
  }

  /** Measures a batch by every metric, without adding it. A metric that rejects it is not measured.
   * @returns what `take` adds, here or in another process
   * @throws {TypeError} as `add`
   */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Map<string, Float64Array<ArrayBuffer>>> {
    checkPair(originals, reconstructions, "measure images");
    const measured = new Map<string, Float64Array<ArrayBuffer>>();
    for (const [name, metric] of [...this.#byName]) {
      try {
        measured.set(name, await metric.measure(originals, reconstructions));
      } catch (error) {
        this.#unmeasured.set(name, refusalOf(error));
        this.#byName.delete(name);
        metric[Symbol.dispose]();
      }
    }
    return measured;
  }

  /** Adds a batch to the metrics by what they measured. */
  take(measured: ReadonlyMap<string, Float64Array>): void {
    for (const [name, values] of measured) this.#byName.get(name)?.take(values);
  }

  /** The number of each metric over all pairs so far, and why other metrics have none. */
  async results(): Promise<MetricResults> {
    const values = new Map<string, number>(), unmeasured = new Map(this.#unmeasured);
    for (const [name, metric] of this.#byName) {
      try {
        values.set(name, await metric.result());
      } catch (error) {
        unmeasured.set(name, refusalOf(error));
      }
    }
    return { values, unmeasured };
  }

  /** Frees the networks. */
  [Symbol.dispose](): void {
    for (const metric of this.#byName.values()) metric[Symbol.dispose]();
    this.#shared[Symbol.dispose]();
  }
}

/** The reason why a metric rejects its input.
 * @throws {unknown} the error itself, if it is of another kind
 */
function refusalOf(error: unknown): string {
  if (error instanceof RangeError || error instanceof TypeError) return error.message;
  throw error;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
