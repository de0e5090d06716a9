/** Images of which only some codes are known: those to be completed, and those whose codes are still being drawn. */
import { withoutGradients } from "../core/execute.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { codeShapeOf } from "./code_stage.ts";
import type { GenerateRequest, Given } from "./generator.ts";

/** Images, and the first stage that encodes them. */
export interface CodedImages {
  /** The first stage. */
  readonly stage1: FirstStage;
  /** The images. */
  readonly dataset: Dataset;
}

/** How many images are encoded at once. */
const BATCH = 64;

/** The known codes of images of which some pixels are known. A code is known if all of its pixels are.
 * @param images the values of `[count, H, W, C]` in [−1, 1]
 * @param pixels `[count, H, W]`: 1 where a pixel is known, 0 where it is hidden
 * @throws {RangeError} the arrays do not hold the same whole number of images, or codes describe whole grids
 */
export async function encodeKnown(
  device: Device,
  { stage1, dataset }: CodedImages,
  images: Float32Array,
  pixels: Uint8Array,
): Promise<Given> {
  checkCompletes(stage1);
  const { imageShape } = dataset, [height, width, channels] = imageShape;
  const size = sizeOf(imageShape), count = images.length / size;
  if (!Number.isInteger(count) || count < 1 || pixels.length !== count * height * width) {
    throw new RangeError(
      `Cannot complete images: whole images of ${height}×${width}×${channels} values and a mask of as many pixels are needed, got ${images.length} values and ${pixels.length} pixels`,
    );
  }
  const codeShape = codeShapeOf(stage1, dataset), [rows, columns] = codeShape;
  const each = sizeOf(codeShape), codes = new Int32Array(count * each);
  const known = new Uint8Array(count * rows * columns).fill(1);
  pixels.forEach((one, pixel) => {
    if (one === 0) known[placeOf(pixel, imageShape, codeShape)] = 0;
  });
  for (let first = 0; first < count; first += BATCH) {
    using _scope = device.scope();
    const own = Math.min(BATCH, count - first);
    const part = Float32Array.from(images.subarray(first * size, (first + own) * size));
    const tensor = device.tensor(part, [own, ...imageShape]);
    const { indices } = withoutGradients(() => stage1.encode(tensor));
    codes.set(await indices.integers(), first * each);
  }
  return { codes, known };
}

/** The codes of a request to complete images: the known codes, and −1 where a code is to be drawn. `undefined` if none
 * is known.
 * @throws {RangeError} the arrays have other sizes, a known code does not exist, or codes describe whole grids
 */
export function knownCodes(
  { given, count }: GenerateRequest,
  { stage1, dataset }: CodedImages,
): Int32Array | undefined {
  if (given === undefined) return undefined;
  checkCompletes(stage1);
  const { codebookSize } = stage1, { codes, known } = given;
  const [height, width, ...axes] = codeShapeOf(stage1, dataset), each = sizeOf(axes);
  const places = count * height * width;
  if (codes.length !== places * each || known.length !== places) {
    throw new RangeError(
      `Cannot complete images: ${
        places * each
      } codes and a mask of ${places} are needed, got ${codes.length} and ${known.length}`,
    );
  }
  return codes.map((code, at) => {
    if (known[Math.floor(at / each)] === 0) return -1;
    if (code >= 0 && code < codebookSize) return code;
    throw new RangeError(
      `Cannot complete images: a known code must be in [0, ${codebookSize}), got ${code}`,
    );
  });
}

/** Decodes images whose codes are not all drawn yet (−1). Pixels of missing codes are grey. If codes describe whole
 * grids, the image is decoded from the sum of the codes so far. */
export async function decodePartial(
  device: Device,
  { stage1, dataset }: CodedImages,
  codes: Int32Array<ArrayBuffer>,
): Promise<Float32Array<ArrayBuffer>> {
  const { imageShape } = dataset, [, , channels] = imageShape;
  const codeShape = codeShapeOf(stage1, dataset), [rows, columns] = codeShape;
  const each = sizeOf(codeShape), shape = [codes.length / each, ...codeShape];
  using _scope = device.scope();
  if (stage1.grid !== undefined) return await stage1.decode(device.tensor(codes, shape)).floats();
  const depth = each / (rows * columns);
  const indices = device.tensor(codes.map((code) => Math.max(code, 0)), shape);
  const images = await stage1.decode(indices).floats();
  return images.map((value, at) => {
    const place = placeOf(Math.floor(at / channels), imageShape, codeShape);
    return codes[(place + 1) * depth - 1] < 0 ? 0 : value;
  });
}

/** The place in the grids of codes, `[images, rows, columns]`, of a pixel in `[images, height, width]`. */
function placeOf(pixel: number, [height, width]: Shape, [rows, columns]: Shape): number {
  const line = Math.floor(pixel / width), image = Math.floor(line / height);
  const row = Math.floor(line % height * rows / height);
  return (image * rows + row) * columns + Math.floor(pixel % width * columns / width);
}

function checkCompletes({ grid }: FirstStage): void {
  if (grid === undefined) return;
  throw new RangeError(
    "Cannot complete images: each position must have its own codes, got codes that cover whole grids",
  );
}
