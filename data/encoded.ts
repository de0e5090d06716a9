/** Encoded images (JPEG, PNG, WebP, …): where their bytes are, and how they are cropped. */
import { philox, type RandomKey, unitInterval } from "../core/random.ts";

/** The maximum number of bytes of an encoded image. */
export const MOST_IMAGE_BYTES = 2 ** 27;
/** The maximum number of pixels of an image before resizing. Larger images are not decoded. */
export const MOST_PIXELS = 1e8;

/** An encoded image: a part of a file, which the decoding thread reads, or bytes in memory. */
export type EncodedImage = FilePart | BytesAtHand;

/** An image as a part of a file. */
export interface FilePart {
  /** The name of the image in error messages. */
  readonly name: string;
  /** The file. */
  readonly path: string;
  /** The offset of the image in the file; by default 0. */
  readonly offset?: number;
  /** Its length in bytes; by default up to the end of the file. */
  readonly length?: number;
  /** The class of the image, if it is stored with the image. */
  readonly label?: number;
}

/** An image as bytes in memory. */
export interface BytesAtHand {
  /** The name of the image in error messages. */
  readonly name: string;
  /** The encoded image. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The class of the image, if it is stored with the image. */
  readonly label?: number;
}

/** How every image is converted: its shorter side is scaled to `size`, and transparent parts show `background`. */
export interface ImageView {
  /** The side of the resulting square. */
  readonly size: number;
  /** The background, a grey value in 0 … 255. */
  readonly background: number;
}

/** Which square of an image to crop, and whether to mirror it. */
export interface Placement {
  /** The horizontal position of the square in [0, 1), from the left end (0) towards the right end (1). */
  readonly left: number;
  /** The vertical position of the square in [0, 1), from the top (0) towards the bottom (1). */
  readonly top: number;
  /** Whether to swap left and right. */
  readonly mirrored: boolean;
}

/** The centre square, not mirrored. */
export const CENTRED: Placement = { left: 0.5, top: 0.5, mirrored: false };

/** Draws the placement of an image. It depends only on the key and the number of the image.
 * @param index which image, in [0, 2^32)
 */
export function drawPlacement(
  key: RandomKey,
  index: number,
  { crop, flip }: { readonly crop: "centre" | "random"; readonly flip: boolean },
): Placement {
  const words = new Uint32Array(4);
  philox(key, 0, index, words);
  const [left, top, chance] = [...words].map(unitInterval);
  const place = crop === "random" ? { left, top } : CENTRED;
  return { left: place.left, top: place.top, mirrored: flip && chance < 0.5 };
}
