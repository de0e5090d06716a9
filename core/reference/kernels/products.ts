/** Matrix products and convolutions. */
import type { Attributes, ConvAttributes } from "../../ops.ts";
import type { Shape } from "../../shape.ts";
import { floats, type ReferenceKernel } from "../buffer.ts";

/** out[b, m, n] = Σₖ a[b, m, k] · b[b, k, n]; a transposed operand swaps its last two indices, and a batch of 1 is used
 * for every b. */
const matmul: ReferenceKernel<Attributes["matmul"]> = ([left, right], [output], attributes) => {
  const { transposeA, transposeB } = attributes;
  const a = floats(left), b = floats(right), out = floats(output);
  const [batch, rows, columns] = output.shape;
  const depth = left.shape[transposeA ? 1 : 2];
  const [rowStepA, depthStepA] = transposeA ? [1, rows] : [depth, 1];
  const [depthStepB, columnStepB] = transposeB ? [1, depth] : [columns, 1];
  for (let at = 0; at < batch; at++) {
    const startA = left.shape[0] === 1 ? 0 : at * rows * depth;
    const startB = right.shape[0] === 1 ? 0 : at * depth * columns;
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < columns; n++) {
        let total = 0;
        for (let k = 0; k < depth; k++) {
          total += a[startA + m * rowStepA + k * depthStepA] *
            b[startB + k * depthStepB + n * columnStepB];
        }
        out[(at * rows + m) * columns + n] = total;
      }
    }
  }
};

/** Visits every combination (pixel of x, tap of w, pixel of y) that a convolution multiplies, with h = p·stride −
 * padding + i·dilation. Calls `visit` with the offsets of their first channels. */
function eachTap(
  x: Shape,
  w: Shape,
  y: Shape,
  { stride, padding, dilation }: ConvAttributes,
  visit: (atX: number, atW: number, atY: number) => void,
): void {
  for (let b = 0; b < y[0]; b++) {
    for (let p = 0; p < y[1]; p++) {
      for (let q = 0; q < y[2]; q++) {
        for (let i = 0; i < w[0]; i++) {
          for (let j = 0; j < w[1]; j++) {
            const h = p * stride[0] - padding[0] + i * dilation[0];
            const v = q * stride[1] - padding[1] + j * dilation[1];
            if (h < 0 || h >= x[1] || v < 0 || v >= x[2]) continue;
            visit(
              ((b * x[1] + h) * x[2] + v) * x[3],
              (i * w[1] + j) * w[2] * w[3],
              ((b * y[1] + p) * y[2] + q) * y[3],
            );
          }
        }
      }
    }
  }
}

/** Stores float64 sums as float32: plus the bias of the last axis, then optionally relu. */
function finish(
  sums: Float64Array,
  bias: Float32Array | undefined,
  relu: boolean,
  out: Float32Array,
): void {
  for (let at = 0; at < out.length; at++) {
    const value = sums[at] + (bias === undefined ? 0 : bias[at % bias.length]);
    out[at] = relu ? Math.max(value, 0) : value;
  }
}

/** y[b, p, q, d] = relu?(bias[d] + Σ x[b, h, v, c] · w[i, j, c, d]) over the taps (i, j) and channels c. */
const conv2d: ReferenceKernel<Attributes["conv2d"]> = (inputs, [output], attributes) => {
  const [image, filter, bias] = inputs;
  const x = floats(image), w = floats(filter), sums = new Float64Array(floats(output).length);
  const [, , channelsIn, channelsOut] = filter.shape;
  eachTap(image.shape, filter.shape, output.shape, attributes, (atX, atW, atY) => {
    for (let c = 0; c < channelsIn; c++) {
      for (let d = 0; d < channelsOut; d++) {
        sums[atY + d] += x[atX + c] * w[atW + c * channelsOut + d];
      }
    }
  });
  finish(sums, bias && floats(bias), attributes.relu, floats(output));
};

/** x[b, h, v, c] = relu?(bias[c] + Σ g[b, p, q, d] · w[i, j, c, d]) over all combinations at (h, v). */
const convTranspose2d: ReferenceKernel<Attributes["convTranspose2d"]> = (
  inputs,
  [output],
  attributes,
) => {
  const [gradient, filter, bias] = inputs;
  const g = floats(gradient), w = floats(filter), sums = new Float64Array(floats(output).length);
  const [, , channelsIn, channelsOut] = filter.shape;
  eachTap(output.shape, filter.shape, gradient.shape, attributes, (atX, atW, atY) => {
    for (let c = 0; c < channelsIn; c++) {
      let total = 0;
      for (let d = 0; d < channelsOut; d++) total += g[atY + d] * w[atW + c * channelsOut + d];
      sums[atX + c] += total;
    }
  });
  finish(sums, bias && floats(bias), attributes.relu, floats(output));
};

/** w[i, j, c, d] = Σ x[b, h, v, c] · g[b, p, q, d] over the images and the combinations at tap (i, j). */
const conv2dFilter: ReferenceKernel<Attributes["conv2dFilter"]> = (
  [image, gradient],
  [output],
  attributes,
) => {
  const x = floats(image), g = floats(gradient), sums = new Float64Array(floats(output).length);
  const [, , channelsIn, channelsOut] = output.shape;
  eachTap(image.shape, output.shape, gradient.shape, attributes, (atX, atW, atY) => {
    for (let c = 0; c < channelsIn; c++) {
      for (let d = 0; d < channelsOut; d++) {
        sums[atW + c * channelsOut + d] += x[atX + c] * g[atY + d];
      }
    }
  });
  finish(sums, undefined, false, floats(output));
};

/** The matrix product and the convolution with its two adjoints. */
export const products = { matmul, conv2d, convTranspose2d, conv2dFilter };
