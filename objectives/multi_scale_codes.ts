/** The codes of a multi-scale first stage that next-scale prediction learns from. */
import { uniform } from "../core/functions/creation.ts";
import { less, mul, where } from "../core/functions/elementwise.ts";
import { concatenate, slice } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { partKey } from "../nn/initializers.ts";
import { drawOwnRows, type Replicas } from "../nn/replicas.ts";
import { MultiScaleQuantizer } from "../quantizers/multi_scale.ts";
import { NormalizedQuantizer } from "../quantizers/normalized.ts";

/** The quantiser of a first stage that codes grids scale by scale, one code per position.
 * @throws {RangeError} the first stage has another quantiser
 */
export function multiScaleOf({ network: { quantizer: whole } }: FirstStage): MultiScaleQuantizer {
  const quantizer = whole instanceof NormalizedQuantizer ? whole.inner : whole;
  if (quantizer instanceof MultiScaleQuantizer && quantizer.codeAxes.length === 1) return quantizer;
  throw new RangeError(
    "Cannot make a next-scale model: the first stage must have a multi-scale quantizer with one code per position " +
      "(--quantizer.type multi-scale), got another",
  );
}

/** Options of `encodeExchanged`. */
export interface ExchangeOptions {
  /** The largest fraction of an image's codes to exchange; that of each image is uniform up to it. */
  readonly most: number;
  /** The key of the draws. */
  readonly key: RandomKey;
  /** The processes that share the batch. */
  readonly replicas: Replicas;
}

/** Encodes images with random codes exchanged for those that another image of the batch has at the same position. The
 * finer scales code what is missing then.
 * @param images float32 `[B, H, W, C]`
 * @returns int32 `[B, Σ s²]`: the codes that the first stage chooses at every scale, and those with the exchanged ones
 * @throws {RangeError} as `multiScaleOf`
 */
export function encodeExchanged(
  stage1: FirstStage,
  images: Tensor,
  { most, key, replicas }: ExchangeOptions,
): { readonly codes: Tensor; readonly exchanged: Tensor } {
  const { device, shape: [batch] } = images, whole = stage1.network.quantizer;
  const context = { training: false, key }, features = stage1.features(images);
  const draw = (shape: readonly number[], part: number) =>
    drawOwnRows(shape, replicas, (shape) => uniform(device, shape, partKey(key, part)));
  const rates = mul(draw([batch, 1, 1], 0), most);
  return multiScaleOf(stage1).quantizeExchanged(
    whole instanceof NormalizedQuantizer ? whole.prepare(features, context) : features,
    (codes, scale) => {
      const others = rowsFrom(replicas.gather(codes), replicas.rank * batch + scale + 1, batch);
      return where(less(draw(codes.shape, scale + 1), rates), others, codes);
    },
    context,
  );
}

/** Some rows from `first` on; the first row follows the last one. */
function rowsFrom(rows: Tensor, first: number, count: number): Tensor {
  const [all, ...rest] = rows.shape, start = first % all, zeros = rest.map(() => 0);
  const before = Math.min(count, all - start);
  const head = slice(rows, [start, ...zeros], [before, ...rest]);
  if (before === count) return head;
  return concatenate([head, slice(rows, [0, ...zeros], [count - before, ...rest])], 0);
}
