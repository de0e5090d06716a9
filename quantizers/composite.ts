/** The base class of methods that turn a feature into several codes. Each code has its own quantiser, or all share
 * one. */
import { add, greaterEqual, mul, where } from "../core/functions/elementwise.ts";
import { broadcast, concatenate, pad, reshape, slice } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import {
  type Assignment,
  type ImageStatistics,
  type Move,
  type QuantizeContext,
  type Quantized,
  Quantizer,
} from "./quantizer.ts";

/** Options of the constructor. */
export interface CompositeOptions {
  /** Makes an inner quantiser, with the random initial values of the given key. */
  readonly inner: (key: RandomKey) => Quantizer;
  /** The number of codes per feature. */
  readonly count: number;
  /** Whether all codes come from one inner quantiser. */
  readonly shared: boolean;
  /** Key for the random initial values. */
  readonly key: RandomKey;
}

/** A quantiser made of inner quantisers. Its codes are the codes of all inner quantisers. With separate inner quantisers
 * of K' codes each, code k of the p-th one has the index p·K' + k, so that usage and perplexity count every code.
 */
export abstract class CompositeQuantizer extends Quantizer {
  /** The total number of codes: K', or with separate inner quantisers `count`·K'. */
  readonly codebookSize: number;
  /** The inner quantisers; only one if it is shared. */
  readonly parts: readonly Quantizer[];
  /** How many codes there are per feature. */
  protected readonly count: number;

  /** Makes the inner quantisers.
   * @throws {RangeError} their codes cover whole grids
   */
  constructor({ inner, count, shared, key }: CompositeOptions) {
    super();
    this.count = count;
    const length = shared ? 1 : count;
    this.parts = Array.from({ length }, (_, part) => inner(partKey(key, part)));
    if (this.parts[0].grid !== undefined) {
      throw new RangeError(
        "Cannot make a quantizer of quantizers: the inner one must code each feature separately, got one whose codes cover whole grids",
      );
    }
    this.codebookSize = length * this.parts[0].codebookSize;
  }

  /** `[count]`, followed by the code axes of the inner quantisers. */
  override get codeAxes(): Shape {
    return [this.count, ...this.parts[0].codeAxes];
  }

  /** The number of choices of each inner quantiser. */
  override get choices(): number {
    return this.parts[0].choices;
  }

  /** The code starts of the inner quantisers, one after another. */
  override get codeStarts(): readonly number[] {
    return Array.from({ length: this.count }, (_, code) => {
      const before = this.parts.length === 1 ? 0 : code * this.#partSize;
      return this.parts[0].codeStarts.map((start) => before + start);
    }).flat();
  }

  /** The codes of all inner quantisers, concatenated. */
  override codes(): Tensor | undefined {
    const [first, ...rest] = this.parts.map((part) => part.codes());
    if (first === undefined) return undefined;
    return rest.length === 0 ? first : concatenate([first, ...rest as Tensor[]]);
  }

  /** The reconstruction loss of the inner quantisers. */
  override reconstructionLoss(mse: Tensor, images: ImageStatistics): Tensor {
    return this.parts[0].reconstructionLoss(mse, images);
  }

  /** Whether an inner quantiser waits for a batch. */
  override get awaitsBatch(): boolean {
    return this.parts.some((part) => part.awaitsBatch);
  }

  /** Calls `begin` of an inner quantiser.
   * @param part the number of the inner quantiser
   * @param features float32 `[..., D']`: those for this quantiser
   * @param draw as in `quantizePart`
   */
  protected beginPart(
    part: number,
    features: Tensor,
    context: QuantizeContext,
    draw: number,
  ): void {
    this.parts[part].begin(features, innerContext(context, features, draw));
  }

  /** Features in the form that an inner quantiser compares with its codes: float32 `[..., D'']`, with its own code axes
   * before the last. */
  protected comparedPart(part: number, features: Tensor, context: QuantizeContext): Tensor {
    return this.parts[part].compared(features, innerContext(context, features, part));
  }

  /** Calls `quantize` of an inner quantiser, and renumbers its indices and usage for the whole.
   * @param part the number of the inner quantiser
   * @param features float32 `[..., D']`; a mask that lacks their last position axis is repeated along it
   * @param draw a number that gives each of several calls its own random choices
   */
  protected quantizePart(
    part: number,
    features: Tensor,
    context: QuantizeContext,
    draw: number,
  ): Quantized {
    const given = this.parts[part].quantize(features, innerContext(context, features, draw));
    const before = part * this.#partSize, after = this.codebookSize - before - this.#partSize;
    return {
      ...given,
      indices: renumber(given.indices, before),
      usage: pad(given.usage, [before], [after]),
    };
  }

  /** Calls `update` of an inner quantiser.
   * @param part the number of the inner quantiser
   * @param assignment of this quantiser's features, with indices and usage numbered for the whole
   */
  protected updatePart(
    part: number,
    { features, indices, usage }: Assignment,
    context: QuantizeContext,
  ): readonly Move[] {
    const before = part * this.#partSize;
    return this.parts[part].update({
      features,
      indices: renumber(indices, -before),
      usage: slice(usage, [before], [this.#partSize]),
    }, innerContext(context, features, part));
  }

  /** Looks up codes of an inner quantiser by indices of the whole. */
  protected lookupPart(part: number, indices: Tensor): Tensor {
    return this.parts[part].lookup(renumber(indices, -part * this.#partSize));
  }

  get #partSize(): number {
    return this.parts[0].codebookSize;
  }
}

/** Combines the results of several inner quantisers: the mean of each loss, and the sum of the usage. */
export function combined(results: readonly Quantized[]): Pick<Quantized, "losses" | "usage"> {
  const average = (name: string) =>
    mul(results.map(({ losses }) => losses[name]).reduce(add), 1 / results.length);
  const names = Object.keys(results[0].losses);
  return {
    losses: Object.fromEntries(names.map((name) => [name, average(name)])),
    usage: results.map(({ usage }) => usage).reduce(add),
  };
}

/** Adds to indices, except to the −1 of the padding. */
function renumber(indices: Tensor, by: number): Tensor {
  return by === 0 ? indices : where(greaterEqual(indices, 0), add(indices, by), indices);
}

function innerContext(
  { mask, key, training, replicas }: QuantizeContext,
  features: Tensor,
  draw: number,
): QuantizeContext {
  const inner = { training, key: partKey(key, draw), replicas };
  if (mask === undefined) return inner;
  const positions = features.shape.slice(0, -1);
  const repeated = mask.shape.length === positions.length
    ? mask
    : broadcast(reshape(mask, [...mask.shape, 1]), positions);
  return { ...inner, mask: repeated };
}
