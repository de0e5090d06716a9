/** What the methods share that make a feature into several codes, each by a quantiser of its own or all by one. */
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

/** What a composite quantiser is made of. */
export interface CompositeOptions {
  /** Makes an inner quantiser; its random initial values are those of the key that it is given. */
  readonly inner: (key: RandomKey) => Quantizer;
  /** How many codes a feature becomes. */
  readonly count: number;
  /** Whether one inner quantiser gives them all. */
  readonly shared: boolean;
  /** Of the random initial values. */
  readonly key: RandomKey;
}

/** A quantiser of quantisers. Its codes are those of all inner ones: with separate ones of K' codes each, code k of the
 * p-th is number p·K' + k, so that usage and perplexity count every code there is.
 */
export abstract class CompositeQuantizer extends Quantizer {
  /** All codes: K', or with separate inner quantisers K' times how many there are. */
  readonly codebookSize: number;
  /** The inner quantisers, one if it is shared. */
  readonly parts: readonly Quantizer[];
  /** How many codes a feature becomes. */
  protected readonly count: number;

  /** Makes the inner quantisers. */
  constructor({ inner, count, shared, key }: CompositeOptions) {
    super();
    this.count = count;
    const length = shared ? 1 : count;
    this.parts = Array.from({ length }, (_, part) => inner(partKey(key, part)));
    this.codebookSize = length * this.parts[0].codebookSize;
  }

  /** `[count]`, before the inner quantisers' own. */
  override get codeAxes(): Shape {
    return [this.count, ...this.parts[0].codeAxes];
  }

  /** The inner quantisers'. */
  override get choices(): number {
    return this.parts[0].choices;
  }

  /** The inner quantisers', one after another. */
  override get codeStarts(): readonly number[] {
    return Array.from({ length: this.count }, (_, code) => {
      const before = this.parts.length === 1 ? 0 : code * this.#partSize;
      return this.parts[0].codeStarts.map((start) => before + start);
    }).flat();
  }

  /** The codes of all inner quantisers, one below the other. */
  override codes(): Tensor | undefined {
    const [first, ...rest] = this.parts.map((part) => part.codes());
    if (first === undefined) return undefined;
    return rest.length === 0 ? first : concatenate([first, ...rest as Tensor[]]);
  }

  /** The inner quantisers'. */
  override reconstructionLoss(mse: Tensor, images: ImageStatistics): Tensor {
    return this.parts[0].reconstructionLoss(mse, images);
  }

  /** Whether an inner quantiser waits for one. */
  override get awaitsBatch(): boolean {
    return this.parts.some((part) => part.awaitsBatch);
  }

  /** Lets an inner quantiser begin.
   * @param part which
   * @param features float32 `[..., D']`: its own
   * @param draw as of `quantizePart`
   */
  protected beginPart(
    part: number,
    features: Tensor,
    context: QuantizeContext,
    draw: number,
  ): void {
    this.parts[part].begin(features, innerContext(context, features, draw));
  }

  /** Features as an inner quantiser compares them: float32 `[..., D'']`, its own code axes before the last. */
  protected comparedPart(part: number, features: Tensor, context: QuantizeContext): Tensor {
    return this.parts[part].compared(features, innerContext(context, features, part));
  }

  /** Lets an inner quantiser quantise; what it gives is numbered as in the whole.
   * @param part which
   * @param features float32 `[..., D']`; where the context's mask lacks the last of their axes, it is repeated along it
   * @param draw tells the random choices of several calls apart
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

  /** Lets an inner quantiser learn from what it quantised.
   * @param part which
   * @param assignment of its own features; indices and usage numbered as in the whole
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

  /** The codes of an inner quantiser at indices of the whole. */
  protected lookupPart(part: number, indices: Tensor): Tensor {
    return this.parts[part].lookup(renumber(indices, -part * this.#partSize));
  }

  get #partSize(): number {
    return this.parts[0].codebookSize;
  }
}

/** Losses by name, each the mean of those of several inner quantisers, and usage, the sum. */
export function combined(results: readonly Quantized[]): Pick<Quantized, "losses" | "usage"> {
  const average = (name: string) =>
    mul(results.map(({ losses }) => losses[name]).reduce(add), 1 / results.length);
  const names = Object.keys(results[0].losses);
  return {
    losses: Object.fromEntries(names.map((name) => [name, average(name)])),
    usage: results.map(({ usage }) => usage).reduce(add),
  };
}

/** Adds to indices, but not to the −1 of the padding. */
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
