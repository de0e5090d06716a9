/** Images on the host as PNG files. */
import { encode } from "fast-png";

/** Encodes an image as an 8-bit PNG, grey or RGB. −1 becomes 0 and 1 becomes 255; values outside are clipped.
 * @param values the values of `[height, width, channels]`, row-major
 * @throws {TypeError} the number of values does not match, or there are not 1 or 3 channels
 */
export function encodePng(
  values: Float32Array,
  [height, width, channels]: readonly [height: number, width: number, channels: number],
): Uint8Array<ArrayBuffer> {
  if (values.length !== height * width * channels || channels !== 1 && channels !== 3) {
    throw new TypeError(
      `Cannot write a PNG: it must be of the values of [${height}, ${width}, 1 or 3], got ${values.length} values of ${channels} channels`,
    );
  }
  const data = Uint8Array.from(
    values,
    (value) => Math.round(Math.min(1, Math.max(0, (value + 1) / 2)) * 255),
  );
  return new Uint8Array(encode({ width, height, channels, data }));
}
