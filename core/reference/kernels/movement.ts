/** Operations that move elements, and average pooling. */
import type { Attributes, None, PoolAttributes } from "../../ops.ts";
import { broadcastStrides, type Shape, stridesOf } from "../../shape.ts";
import { elements, floats, type ReferenceKernel } from "../buffer.ts";
import { offsetAt, offsetsOf } from "../offsets.ts";

type HostElements = ReturnType<typeof elements>;

/** out[i] = x[offsets[i]] */
function pick(x: HostElements, offsets: Int32Array, out: HostElements): void {
  for (let i = 0; i < out.length; i++) out[i] = x[offsets[i]];
}

/** out[offsets[i]] = x[i] */
function place(x: HostElements, offsets: Int32Array, out: HostElements): void {
  for (let i = 0; i < x.length; i++) out[offsets[i]] = x[i];
}

/** A step along output axis i is a step along input axis permutation[i]. */
const transpose: ReferenceKernel<Attributes["transpose"]> = (
  [operand],
  [output],
  { permutation },
) => {
  const strides = stridesOf(operand.shape);
  const permuted = permutation.map((axis) => strides[axis]);
  pick(elements(operand), offsetsOf(output.shape, permuted), elements(output));
};

/** out[index] = x[starts + index] */
const slice: ReferenceKernel<Attributes["slice"]> = ([operand], [output], { starts, sizes }) => {
  const strides = stridesOf(operand.shape);
  const offsets = offsetsOf(sizes, strides, offsetAt(starts, strides));
  pick(elements(operand), offsets, elements(output));
};

/** out[before + index] = x[index], and `value` elsewhere */
const pad: ReferenceKernel<Attributes["pad"]> = ([operand], [output], { before, value }) => {
  const strides = stridesOf(output.shape);
  const out = elements(output).fill(value);
  place(
    elements(operand),
    offsetsOf(operand.shape, strides, offsetAt(before, strides)),
    out,
  );
};

/** A step along a repeated axis does not move in the operand. */
const broadcast: ReferenceKernel<unknown> = ([operand], [output]) => {
  const strides = broadcastStrides(operand.shape, output.shape);
  pick(elements(operand), offsetsOf(output.shape, strides), elements(output));
};

/** The operands one after another along `axis`. */
const concatenate: ReferenceKernel<Attributes["concatenate"]> = (operands, [output], { axis }) => {
  const strides = stridesOf(output.shape);
  const out = elements(output);
  let start = 0;
  for (const operand of operands) {
    const offsets = offsetsOf(operand.shape, strides, start * strides[axis]);
    place(elements(operand), offsets, out);
    start += operand.shape[axis];
  }
};

/** out[b, h, w, c] = x[b, ⌊h/scale₀⌋, ⌊w/scale₁⌋, c] */
const upsampleNearest: ReferenceKernel<Attributes["upsampleNearest"]> = (
  [operand],
  [output],
  { scale },
) => {
  const [batch, height, width, channels] = output.shape;
  const strides = stridesOf(operand.shape);
  const x = floats(operand), out = floats(output);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < height; h++) {
      for (let w = 0; w < width; w++) {
        for (let c = 0; c < channels; c++) {
          const index = [b, Math.floor(h / scale[0]), Math.floor(w / scale[1]), c];
          out[at++] = x[offsetAt(index, strides)];
        }
      }
    }
  }
};

/** Calls `visit` with the offsets of every element of the pooled output and every input element in its window. */
export function eachPooled(
  image: Shape,
  pooled: Shape,
  { size, stride, padding }: PoolAttributes,
  visit: (atImage: number, atPooled: number) => void,
): void {
  const strides = stridesOf(image);
  offsetsOf(pooled, stridesOf(pooled)).forEach((atPooled) => {
    const c = atPooled % pooled[3];
    const q = Math.floor(atPooled / pooled[3]) % pooled[2];
    const p = Math.floor(atPooled / (pooled[3] * pooled[2])) % pooled[1];
    const b = Math.floor(atPooled / (pooled[3] * pooled[2] * pooled[1]));
    for (let i = 0; i < size[0]; i++) {
      for (let j = 0; j < size[1]; j++) {
        const h = p * stride[0] - padding[0] + i, w = q * stride[1] - padding[1] + j;
        const inside = h >= 0 && h < image[1] && w >= 0 && w < image[2];
        if (inside) visit(offsetAt([b, h, w, c], strides), atPooled);
      }
    }
  });
}

/** y[b, p, q, c] = Σ x[b, h, w, c] / (size₀·size₁) over the window; the padding's zeros count. */
const averagePool: ReferenceKernel<Attributes["averagePool"]> = (
  [operand],
  [output],
  attributes,
) => {
  const x = floats(operand), out = floats(output), sums = new Float64Array(out.length);
  eachPooled(operand.shape, output.shape, attributes, (atImage, atPooled) => {
    sums[atPooled] += x[atImage];
  });
  out.set(sums.map((sum) => sum / (attributes.size[0] * attributes.size[1])));
};

/** x[b, h, w, c] = Σ g[b, p, q, c] / (size₀·size₁) over the windows that hold (h, w). */
const averagePoolGradient: ReferenceKernel<Attributes["averagePoolGradient"]> = (
  [gradient],
  [output],
  attributes,
) => {
  const g = floats(gradient), out = floats(output), sums = new Float64Array(out.length);
  eachPooled(output.shape, gradient.shape, attributes, (atImage, atPooled) => {
    sums[atImage] += g[atPooled];
  });
  out.set(sums.map((sum) => sum / (attributes.size[0] * attributes.size[1])));
};

const copy: ReferenceKernel<None> = ([operand], [output]) => {
  elements(output).set(elements(operand));
};

const full: ReferenceKernel<Attributes["full"]> = (_, [output], { value }) => {
  elements(output).fill(value);
};

/** The kernels that move elements. */
export const movement = {
  transpose,
  slice,
  pad,
  broadcast,
  concatenate,
  upsampleNearest,
  averagePool,
  averagePoolGradient,
  copy,
  full,
};
