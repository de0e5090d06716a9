/** Matrix products and convolutions. */
import { apply } from "../execute.ts";
import type { Pair } from "../ops.ts";
import type { Precision } from "../precision.ts";
import { sameShape, showShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { pad, reshape } from "./movement.ts";

/** Options of `matmul`: which operands are transposed on their last two axes, and the precision. */
export interface MatmulOptions {
  /** The left operand is stored as `[..., K, M]`. */
  readonly transposeA?: boolean;
  /** The right operand is stored as `[..., N, K]`. */
  readonly transposeB?: boolean;
  /** `mixed` allows a device that was opened with that precision to round the operands to float16, as it does in
   * layers. By default `float32`. */
  readonly precision?: Precision;
}

/** The matrix product `[..., M, K]` × `[..., K, N]` → `[..., M, N]`; the batch axes must be equal, or absent on one
 * side.
 *
 * ```ts
 * import { matmul, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const a = device.tensor([1, 2, 3, 4], [2, 2]);
 * assert.deepEqual([...await matmul(a, a, { transposeB: true }).floats()], [5, 11, 11, 25]);
 * ```
 * @throws {TypeError} the shapes do not match
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, precision }: MatmulOptions = {},
): Tensor {
  const batches = [a, b].map(({ shape }) => shape.slice(0, -2));
  const batch = batches[0].length === 0 ? batches[1] : batches[0];
  const agree = batches.every((own) => own.length === 0 || sameShape(own, batch));
  if (a.shape.length < 2 || b.shape.length < 2 || !agree) {
    throw new TypeError(
      `Cannot multiply matrices: the operands need two axes or more and equal batches, got ${
        showShape(a.shape)
      } and ${showShape(b.shape)}`,
    );
  }
  // The product of a batch of rows with one matrix is a single long product.
  if (batches[1].length === 0 && !transposeA) {
    const width = a.shape[a.shape.length - 1];
    const rows = reshape(a, [1, a.size / width, width]);
    const product = apply("matmul", [rows, flat(b)], { transposeA, transposeB, precision });
    return reshape(product, [...a.shape.slice(0, -1), product.shape[2]]);
  }
  const product = apply("matmul", [flat(a), flat(b)], { transposeA, transposeB, precision });
  return reshape(product, [...batch, product.shape[1], product.shape[2]]);
}

function flat(x: Tensor): Tensor {
  return reshape(x, [sizeOf(x.shape.slice(0, -2)), ...x.shape.slice(-2)]);
}

/** Options of a convolution. A single number applies to both axes. */
export interface ConvOptions {
  /** Added to every output, `[channels]`. */
  readonly bias?: Tensor;
  /** The step in input pixels between neighbouring outputs (transposed: the reverse). */
  readonly stride?: number | Pair;
  /** Zeros around the input (transposed: pixels cut from the output). */
  readonly padding?: number | Pair;
  /** The step in pixels between kernel taps. */
  readonly dilation?: number | Pair;
  /** Whether to apply relu to the result in the same pass. */
  readonly relu?: boolean;
}

/** Options of a convolution with asymmetric padding. */
export interface AsymmetricConvOptions extends ConvOptions {
  /** Zeros below and to the right of the input; by default `padding`, the number above and to the left. */
  readonly paddingAfter?: number | Pair;
}

/** Options of a transposed convolution. */
export interface ConvTransposeOptions extends ConvOptions {
  /** Rows and columns added to the output at the bottom and right. */
  readonly outputPadding?: number | Pair;
}

const pair = (value: number | Pair): Pair => typeof value === "number" ? [value, value] : value;

/** Pads the images on the side with more padding, and returns how much is left to pad on both sides. */
function evenly(images: Tensor, before: Pair, after: Pair): readonly [Tensor, Pair] {
  const both: Pair = [Math.min(before[0], after[0]), Math.min(before[1], after[1])];
  if (before[0] === after[0] && before[1] === after[1]) return [images, both];
  const rest = (counts: Pair) => [0, counts[0] - both[0], counts[1] - both[1], 0];
  return [pad(images, rest(before), rest(after)), both];
}

/** Convolution of images `[B, H, W, Cin]` with a filter `[KH, KW, Cin, Cout]` → `[B, H', W', Cout]`.
 *
 * H' = ⌊(H + padding + paddingAfter − dilation·(KH − 1) − 1)/stride⌋ + 1; the filter is not flipped
 * (cross-correlation).
 * @throws {TypeError} the channels do not match, or the window is larger than the image
 */
export function conv2d(
  images: Tensor,
  filter: Tensor,
  options: AsymmetricConvOptions = {},
): Tensor {
  const { bias, stride = 1, padding = 0, dilation = 1, relu = false } = options;
  const [padded, both] = evenly(images, pair(padding), pair(options.paddingAfter ?? padding));
  return apply("conv2d", bias === undefined ? [padded, filter] : [padded, filter, bias], {
    stride: pair(stride),
    padding: both,
    dilation: pair(dilation),
    relu,
  });
}

/** Transposed convolution: the adjoint of `conv2d` with respect to its images.
 *
 * `[B, H, W, Cin]` with a filter `[KH, KW, Cout, Cin]` (the filter of the convolution it is the adjoint of) →
 * `[B, H', W', Cout]`, H' = (H − 1)·stride − 2·padding + dilation·(KH − 1) + outputPadding + 1.
 * @throws {TypeError} the channels do not match
 */
export function convTranspose2d(
  images: Tensor,
  filter: Tensor,
  options: ConvTransposeOptions = {},
): Tensor {
  const { bias, relu = false } = options;
  const [stride, padding, dilation, extra] = [
    options.stride ?? 1,
    options.padding ?? 0,
    options.dilation ?? 1,
    options.outputPadding ?? 0,
  ].map(pair);
  const length = (axis: 0 | 1) =>
    (images.shape[axis + 1] - 1) * stride[axis] - 2 * padding[axis] +
    dilation[axis] * (filter.shape[axis] - 1) + extra[axis] + 1;
  const operands: [Tensor, ...Tensor[]] = bias === undefined
    ? [images, filter]
    : [images, filter, bias];
  return apply("convTranspose2d", operands, {
    stride,
    padding,
    dilation,
    outputSize: [length(0), length(1)],
    relu,
  });
}
