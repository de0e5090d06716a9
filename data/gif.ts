/** Encodes animated GIFs. */
import { loadOnDemand } from "./on_demand.ts";

/** The frames of an animated GIF. */
export interface GifOptions {
  /** The bytes of `[height, width, channels]` of each frame, row-major; at least one frame. */
  readonly frames: readonly Uint8Array[];
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** 1 for grey, 3 for colour. */
  readonly channels: 1 | 3;
}

/** The duration of a frame, and of the last frame, in milliseconds. */
const DELAY = 80, LAST = 2000;

/** Encodes a GIF that loops forever and pauses on its last frame. It has 256 colours. */
export async function encodeGif(
  { frames, height, width, channels }: GifOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { sharp } = await loadOnDemand("sharp.ts") as typeof import("./sharp.ts");
  const pixels = new Uint8Array(frames.length * height * width * channels);
  frames.forEach((frame, at) => pixels.set(frame, at * frame.length));
  const raw = { width, height: frames.length * height, channels, pageHeight: height };
  const delay = frames.map((_, at) => at === frames.length - 1 ? LAST : DELAY);
  return new Uint8Array(await sharp(pixels, { raw }).gif({ delay, loop: 0 }).toBuffer());
}
