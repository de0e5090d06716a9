/** Encoded images (JPEG, PNG, WebP, …): where their bytes lie, and how they are looked at. */
import { philox, type RandomKey, unitInterval } from "../core/random.ts";

/** Most bytes of one encoded image. */
export const MOST_IMAGE_BYTES = 2 ** 27;
/** Most pixels of one image, before it is resized: a file that says more is not decoded. */
export const MOST_PIXELS = 1e8;

/** One encoded image: bytes of a file, which are read where they are decoded, or bytes at hand. */
export type EncodedImage = FilePart | BytesAtHand;

/** Bytes of a file. */
export interface FilePart {
  /** What messages call the image. */
  readonly name: string;
  /** The file. */
  readonly path: string;
  /** Where in the file the image starts; 0. */
  readonly offset?: number;
  /** How many bytes it has; all that follow. */
  readonly length?: number;
}

/** Bytes at hand. */
export interface BytesAtHand {
  /** What messages call the image. */
  readonly name: string;
  /** All of it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What becomes of every image: its shorter side is made `size`, transparency is laid over `background`. */
export interface ImageView {
  /** The side of the square that is given. */
  readonly size: number;
  /** What shows through, a grey in 0 … 255. */
  readonly background: number;
}

/** Which square of an image is given, and which way round. */
export interface Placement {
  /** Where the square lies in its play to the right, in [0, 1). */
  readonly left: number;
  /** Where it lies in its play downwards, in [0, 1). */
  readonly top: number;
  /** Whether left and right change places. */
  readonly mirrored: boolean;
}

/** The middle square, as it is. */
export const CENTRED: Placement = { left: 0.5, top: 0.5, mirrored: false };

/** Draws the placement of an image: a function of the key and the image's number, and of nothing else.
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
