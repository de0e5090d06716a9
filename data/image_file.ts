/** Files with one image each, from any program. */
import type { Sharp } from "sharp";
import { regularSize } from "../files/regular_file.ts";
import { scaleBytes } from "./bytes.ts";
import { MOST_IMAGE_BYTES, MOST_PIXELS } from "./encoded.ts";
import { loadOnDemand } from "./on_demand.ts";

/** An image on the host. */
export interface DecodedImage {
  /** The values of `[height, width, channels]` in [−1, 1], converted from bytes. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Its sides, and 1 channel for grey or 3 for colour. */
  readonly shape: readonly [height: number, width: number, channels: number];
}

/** An image file that cannot be decoded. */
export class BrokenFileError extends RangeError {
  /** Takes the path, the requirement, and the actual content of the file. */
  constructor(path: string, requirement: string, actual: string, options?: ErrorOptions) {
    super(`Cannot read ${path}: ${requirement}, got ${actual}`, options);
  }
}

/** An image whose header was read. */
export interface OpenedImage {
  /** Its height as displayed; photographs may be stored rotated. */
  readonly height: number;
  /** Its width as displayed. */
  readonly width: number;
  /** Whether it has no colour. */
  readonly isGrey: boolean;
  /** Decodes it upright. */
  readonly image: Sharp;
}

/** Opens an image. The limits are those of training: 128 MiB per file and 10⁸ pixels per image.
 * @throws {BrokenFileError} the file is missing, broken or too large
 */
export async function openImage(path: string): Promise<OpenedImage> {
  const { sharp } = await loadOnDemand("sharp.ts") as typeof import("./sharp.ts");
  const size = await regularSize(path).catch(broken(path));
  if (size > MOST_IMAGE_BYTES) {
    const most = `an image must have at most ${MOST_IMAGE_BYTES} bytes`;
    throw new BrokenFileError(path, most, `${size}`);
  }
  const image = sharp(path, { failOn: "error", limitInputPixels: MOST_PIXELS });
  const { autoOrient: { width, height }, channels = 3 } = await image.metadata()
    .catch(broken(path));
  if (width * height > MOST_PIXELS) {
    const most = `an image must have at most ${MOST_PIXELS} pixels`;
    throw new BrokenFileError(path, most, `${height}×${width}`);
  }
  return { height, width, isGrey: channels <= 2, image: image.autoOrient() };
}

/** Decodes an image that was opened, to grey or to colour.
 * @throws {BrokenFileError} the file is broken
 */
export async function decodeImage(
  path: string,
  image: Sharp,
  channels: 1 | 3,
): Promise<DecodedImage> {
  const { data, info } = await image
    .toColourspace(channels === 1 ? "b-w" : "srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch(broken(path));
  const pixels = info.width * info.height;
  const values = new Float32Array(pixels * channels);
  if (info.channels === channels) scaleBytes(data, values, 0);
  else { // A grey image may have one channel, whatever was requested.
    const spread = new Uint8Array(values.length);
    for (let at = 0; at < spread.length; at++) {
      spread[at] = data[Math.floor(at / channels) * info.channels];
    }
    scaleBytes(spread, values, 0);
  }
  return { values, shape: [info.height, info.width, channels] };
}

function broken(path: string): (cause: Error) => never {
  return (cause) => {
    const requirement = "it must be an image that can be decoded";
    throw new BrokenFileError(path, requirement, cause.message.trim(), { cause });
  };
}
