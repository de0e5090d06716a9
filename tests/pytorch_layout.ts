/** The names and layouts of the reference implementation's parameters, and ours. */
import type { HostTensor } from "../core/host_tensor.ts";

/** PyTorch's names on the left, ours on the right; what follows (`weight`, `bias`) is the same. */
const NAMES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^_encoder\._conv_(\d+)\b/, "encoder.conv$1"],
  [/^_pre_vq_conv\b/, "encoder.toFeatures"],
  [/^_vq_vae\.embedding\.weight$/, "quantizer.codebook"],
  [/^_vq_vae\.embed_prob$/, "quantizer.reanchoring.runningUsage"],
  [/^_decoder\._conv_(\d+)\b/, "decoder.conv$1"],
  [/^_decoder\._conv_trans_(\d+)\b/, "decoder.up$1"],
  [/^_(\w+)\._residual_stack\._layers\.(\d+)\._block\.1\b/, "$1.residual.$2.conv3"],
  [/^_(\w+)\._residual_stack\._layers\.(\d+)\._block\.3\b/, "$1.residual.$2.conv1"],
];

/** Our name of a parameter or buffer of the reference implementation.
 * @throws {RangeError} the table has no such name
 */
export function ourName(theirs: string): string {
  for (const [pattern, ours] of NAMES) {
    if (pattern.test(theirs)) return theirs.replace(pattern, ours);
  }
  throw new RangeError(
    `Cannot name a parameter: the table of names must know it, got ${theirs}`,
  );
}

/** A filter `[O, I, KH, KW]` (of a transposed convolution `[I, O, KH, KW]`) as `[KH, KW, I, O]` (`[KH, KW, O, I]`);
 * other tensors as they are. */
export function ourLayout({ shape, values }: HostTensor): HostTensor {
  if (shape.length !== 4) return { shape, values };
  const [first, second, height, width] = shape;
  const moved = new Float32Array(values.length);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let s = 0; s < second; s++) {
        for (let f = 0; f < first; f++) {
          moved[at++] = values[((f * second + s) * height + y) * width + x];
        }
      }
    }
  }
  return { shape: [height, width, second, first], values: moved };
}

/** The tensors whose names start with `prefix`, by our names and in our layouts. */
export function ourTensors(
  tensors: ReadonlyMap<string, HostTensor>,
  prefix: string,
): Map<string, HostTensor> {
  const own = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(
    own.map(([name, tensor]) => [ourName(name.slice(prefix.length)), ourLayout(tensor)]),
  );
}
