/** Images on the host, the input of metrics. */
import type { Device, Tensor } from "../core/tensor.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";

/** Images of the same size. */
export interface Images {
  /** The values of `[count, height, width, channels]`, row-major, on any scale. */
  readonly values: Float32Array;
  /** The number of images and their size. */
  readonly shape: readonly [count: number, height: number, width: number, channels: number];
  /** The same images on a device, if they are already there. A network on that device uses this tensor. */
  readonly tensor?: Tensor;
}

/** The images on a device: the tensor that is already there, or a copy. */
export function imagesOn(device: Device, { values, shape, tensor }: Images): Tensor {
  return tensor?.device === device ? tensor : device.tensor(new Float32Array(values), shape);
}

/** Rejects two sets of images that cannot be compared one by one.
 * @param action for the message: "measure SSIM"
 * @throws {TypeError} their shapes differ or do not match their values
 */
export function checkPair(originals: Images, reconstructions: Images, action: string): void {
  const { shape } = originals;
  if (!sameShape(shape, reconstructions.shape)) {
    throw new TypeError(
      `Cannot ${action}: both must have the same shape [count, height, width, channels], got ${
        showShape(shape)
      } and ${showShape(reconstructions.shape)}`,
    );
  }
  for (const { values } of [originals, reconstructions]) {
    if (values.length !== sizeOf(shape)) {
      throw new TypeError(
        `Cannot ${action}: images ${showShape(shape)} have ${
          sizeOf(shape)
        } values, got ${values.length}`,
      );
    }
  }
}

/** One number per image: the mean of `term` over the values of each pair, in float64.
 * @throws {TypeError} as in `checkPair`
 */
export function meanOverImages(
  originals: Images,
  reconstructions: Images,
  action: string,
  term: (original: number, reconstruction: number) => number,
): Float64Array<ArrayBuffer> {
  checkPair(originals, reconstructions, action);
  const [count, ...imageShape] = originals.shape;
  const size = sizeOf(imageShape);
  return Float64Array.from({ length: count }, (_, image) => {
    let sum = 0;
    for (let at = image * size; at < (image + 1) * size; at++) {
      sum += term(originals.values[at], reconstructions.values[at]);
    }
    return sum / size;
  });
}
