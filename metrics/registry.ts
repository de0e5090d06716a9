/** The metrics of images that can be chosen by name. */
import { suggestName } from "../settings/nearest_name.ts";
import type { ImageMetric } from "./image_metric.ts";
import type { Images } from "./images.ts";
import {
  METRIC_KINDS,
  type MetricKind,
  type MetricOptions,
  SharedNetworks,
} from "./metric_kinds.ts";

/** The names of the metrics. */
export const METRIC_NAMES: readonly string[] = [...METRIC_KINDS.keys()];

/** What a metric needs besides images, in words.
 * @throws {RangeError} there is none of that name
 */
export function metricNeeds(name: string): string {
  return kindOf(name).needs;
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

/** Some metrics, with the networks that they share. */
export class Metrics implements Disposable {
  /** The metrics by their names in the registry. */
  readonly byName: ReadonlyMap<string, ImageMetric>;
  readonly #shared: Disposable;

  private constructor(byName: ReadonlyMap<string, ImageMetric>, shared: Disposable) {
    this.byName = byName;
    this.#shared = shared;
  }

  /** Opens metrics by name: loads weights, trains what has to be trained.
   * @throws {RangeError} there is none of a name, or a file of weights is broken
   * @throws {Error} a file of weights is missing
   */
  static async open(names: readonly string[], options: MetricOptions): Promise<Metrics> {
    const kinds = names.map((name) => [name, kindOf(name)] as const);
    const shared = new SharedNetworks();
    const opened = new Map<string, ImageMetric>();
    const metrics = new Metrics(opened, shared);
    try {
      for (const [name, kind] of kinds) opened.set(name, await kind.open(shared, options));
    } catch (error) {
      metrics[Symbol.dispose]();
      throw error;
    }
    return metrics;
  }

  /** Shows a batch to every metric.
   * @throws {TypeError | RangeError} as `ImageMetric.add`
   */
  async add(originals: Images, reconstructions: Images): Promise<void> {
    for (const metric of this.byName.values()) await metric.add(originals, reconstructions);
  }

  /** Frees the networks. */
  [Symbol.dispose](): void {
    for (const metric of this.byName.values()) metric[Symbol.dispose]();
    this.#shared[Symbol.dispose]();
  }
}
