/** Reads and shows greyscale images with values in [−1, 1]. */

/** The side of a digit in pixels. */
export const SIDE = 28;
/** The number of pixels of a digit. */
export const PIXELS: number = SIDE * SIDE;

/** The 2D context of a canvas.
 * @throws {Error} the browser provides none
 */
export function contextOf(
  canvas: HTMLCanvasElement | OffscreenCanvas,
): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("A canvas must have a 2D context, got none");
  return context as CanvasRenderingContext2D;
}

/** The current value of a custom property in the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Calls back when the colour scheme changes between dark and light. */
export function onThemeChange(redraw: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

type Rgb = readonly [red: number, green: number, blue: number];

function rgb(hex: string): Rgb {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, value >> 8 & 255, value & 255];
}

/** Paints an image onto a canvas of its size, −1 as paper and 1 as ink. */
export function paintImage(canvas: HTMLCanvasElement, values: ArrayLike<number>): void {
  const paper = rgb(colour("--paper")), ink = rgb(colour("--ink"));
  const data = new ImageData(canvas.width, canvas.height);
  for (let at = 0; at < values.length; at++) {
    const share = Math.min(1, Math.max(0, (values[at] + 1) / 2));
    for (let channel = 0; channel < 3; channel++) {
      data.data[4 * at + channel] = paper[channel] + share * (ink[channel] - paper[channel]);
    }
    data.data[4 * at + 3] = 255;
  }
  contextOf(canvas).putImageData(data, 0, 0);
}

/** Reads the pixels of a canvas as grey values: black is −1, white is 1. */
export function greyOf(canvas: HTMLCanvasElement | OffscreenCanvas): Float32Array<ArrayBuffer> {
  const { data } = contextOf(canvas).getImageData(0, 0, canvas.width, canvas.height);
  return Float32Array.from(
    { length: data.length / 4 },
    (_, at) =>
      (0.299 * data[4 * at] + 0.587 * data[4 * at + 1] + 0.114 * data[4 * at + 2]) / 127.5 - 1,
  );
}

/** Turns an image file into a digit: crops the central square and resizes it. If the border is light, inverts it.
 * @throws {Error} the browser cannot read the file
 */
export async function digitOf(file: Blob): Promise<Float32Array<ArrayBuffer>> {
  const image = await createImageBitmap(file).catch(() => {
    throw new Error("the file must be an image that this browser can read");
  });
  const side = Math.min(image.width, image.height);
  const canvas = new OffscreenCanvas(SIDE, SIDE), context = contextOf(canvas);
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIDE, SIDE);
  const left = (image.width - side) / 2, top = (image.height - side) / 2;
  context.drawImage(image, left, top, side, side, 0, 0, SIDE, SIDE);
  const values = greyOf(canvas);
  const border = values.filter((_, at) => {
    const x = at % SIDE, y = Math.floor(at / SIDE);
    return Math.min(x, y, SIDE - 1 - x, SIDE - 1 - y) === 0;
  });
  const light = border.reduce((sum, value) => sum + value, 0) > 0;
  return light ? values.map((value) => -value) : values;
}

/** The digits that the page ships with. */
export interface Digits {
  /** Training images. */
  readonly train: readonly Float32Array<ArrayBuffer>[];
  /** Test images. */
  readonly test: readonly Float32Array<ArrayBuffer>[];
}

/** Loads the digits from one image. Its last row holds the test digits.
 * @throws {Error} the image cannot be fetched
 */
export async function loadDigits(): Promise<Digits> {
  const image = new Image();
  image.src = "digits.png";
  await image.decode().catch(() => {
    throw new Error("digits.png cannot be fetched");
  });
  const canvas = new OffscreenCanvas(image.width, image.height);
  contextOf(canvas).drawImage(image, 0, 0);
  const values = greyOf(canvas), columns = image.width / SIDE;
  const digits = Array.from({ length: values.length / PIXELS }, (_, digit) => {
    const left = digit % columns * SIDE, top = Math.floor(digit / columns) * SIDE;
    return Float32Array.from(
      { length: PIXELS },
      (_, at) => values[(top + Math.floor(at / SIDE)) * image.width + left + at % SIDE],
    );
  });
  return { train: digits.slice(0, -columns), test: digits.slice(-columns) };
}
