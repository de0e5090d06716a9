/** A picture made of images. */
import { encode } from "fast-png";

/** Height, width and channels of an image. */
export type ImageShape = readonly [height: number, width: number, channels: number];

/** A position in a picture, in pixels. */
export type Corner = readonly [top: number, left: number];

/** The pixels of a picture: RGB with 3 channels, grey with 1. */
export class Picture {
  /** The bytes of `[height, width, channels]`, row-major. */
  readonly data: Uint8Array;

  /** Makes a picture filled with one shade in [0, 255]. */
  constructor(
    readonly height: number,
    readonly width: number,
    readonly channels: 1 | 3,
    background = 0,
  ) {
    this.data = new Uint8Array(height * width * channels).fill(background);
  }

  /** Paints an image, enlarged by a whole factor. A grey picture takes the image's first channel; an RGB picture needs
   * three channels.
   * @param values the values of the image, row-major; −1 is black and 1 is white, and values outside are clipped
   */
  paint(
    values: Float32Array,
    [height, width, channels]: ImageShape,
    [top, left]: Corner = [0, 0],
    scale = 1,
  ): void {
    for (let y = 0; y < height * scale; y++) {
      for (let x = 0; x < width * scale; x++) {
        const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * channels;
        const to = ((top + y) * this.width + left + x) * this.channels;
        for (let channel = 0; channel < this.channels; channel++) {
          this.data[to + channel] = toByte(values[from + channel]);
        }
      }
    }
  }

  /** Encodes the picture as a PNG. */
  png(): Uint8Array<ArrayBuffer> {
    const { height, width, channels, data } = this;
    return new Uint8Array(encode({ width, height, channels, data }));
  }
}

/** Maps −1 to 0 and 1 to 255. */
function toByte(value: number): number {
  return Math.round(Math.min(1, Math.max(0, (value + 1) / 2)) * 255);
}
