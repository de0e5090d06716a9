/** Images to codes and back, on the host. */
import { imageMse } from "../metrics/mse.ts";
import { imageErrors } from "../metrics/reconstruction.ts";
import { MOST_PIXELS } from "../data/encoded.ts";
import type { ImageBatch } from "../data/image_batches.ts";
import { sameShape, sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { TiledFirstStage } from "../models/tiled_first_stage.ts";
import type { Tiling } from "../models/tiles.ts";
import type { ImageCodes, SavedCodes } from "./codes_file.ts";
import type { OpenedRun } from "./open_run.ts";

/** A reconstructed batch of images. */
export interface ReconstructedBatch {
  /** The codes of each image. */
  readonly codes: readonly ImageCodes[];
  /** The values of all reconstructions, in the shape of the images, not clipped. */
  readonly values: Float32Array<ArrayBuffer>;
  /** The mean squared error of each image. */
  readonly errors: Float32Array<ArrayBuffer>;
}

/** Encodes a batch of images.
 * @param tiling cuts the images into tiles; by default they are processed whole
 * @throws {RangeError} an image has a feature that is not finite
 */
export async function encodeBatch(
  model: FirstStage,
  device: Device,
  batch: ImageBatch,
  tiling?: Tiling,
): Promise<ImageCodes[]> {
  if (tiling !== undefined) {
    return await encodeTiles(new TiledFirstStage(model, device, tiling), batch);
  }
  using _scope = device.scope();
  const { indices } = model.encode(device.tensor(batch.values, batch.shape));
  return imageCodes(batch, indices.shape.slice(1), await indices.integers());
}

/** Decodes codes of one shape to images.
 * @param tiling cuts the codes into tiles; by default they are processed whole
 * @returns the values, of shape `[count, h·downsampling, w·downsampling, channels]`, not clipped
 */
export async function decodeBatch(
  model: FirstStage,
  device: Device,
  codes: readonly ImageCodes[],
  tiling?: Tiling,
): Promise<Float32Array<ArrayBuffer>> {
  if (tiling !== undefined) {
    return await decodeTiles(new TiledFirstStage(model, device, tiling), codes);
  }
  const [{ shape }] = codes, size = sizeOf(shape);
  const values = new Int32Array(codes.length * size);
  codes.forEach((one, at) => values.set(one.values, at * size));
  using _scope = device.scope();
  return await model.decode(device.tensor(values, [codes.length, ...shape])).floats();
}

/** Encodes a batch of images and decodes its codes again.
 * @param tiling cuts the images into tiles; by default they are processed whole
 * @throws {RangeError} as `encodeBatch`
 */
export async function reconstructBatch(
  model: FirstStage,
  device: Device,
  batch: ImageBatch,
  tiling?: Tiling,
): Promise<ReconstructedBatch> {
  if (tiling !== undefined) {
    const codes = await encodeBatch(model, device, batch, tiling);
    const values = await decodeBatch(model, device, codes, tiling);
    const rebuilt = { values, shape: batch.shape };
    return { codes, values, errors: Float32Array.from(imageMse(batch, rebuilt)) };
  }
  using _scope = device.scope();
  const images = device.tensor(batch.values, batch.shape);
  const { indices } = model.encode(images);
  const rebuilt = model.decode(indices);
  const [read, values, errors] = await Promise.all([
    indices.integers(),
    rebuilt.floats(),
    imageErrors(images, rebuilt).floats(),
  ]);
  return { codes: imageCodes(batch, indices.shape.slice(1), read), values, errors };
}

async function encodeTiles(model: TiledFirstStage, batch: ImageBatch): Promise<ImageCodes[]> {
  const [count, ...shape] = batch.shape, size = sizeOf(shape);
  const codes: ImageCodes[] = [];
  for (let at = 0; at < count; at++) {
    const image = { values: batch.values.subarray(at * size, (at + 1) * size), shape };
    const { values, shape: own } = await model.encode(image);
    codes.push(...imageCodes({ images: [batch.images[at]] }, own, values));
  }
  return codes;
}

async function decodeTiles(
  model: TiledFirstStage,
  codes: readonly ImageCodes[],
): Promise<Float32Array<ArrayBuffer>> {
  const images: Float32Array[] = [];
  for (const one of codes) images.push((await model.decode(one)).values);
  const values = new Float32Array(images.reduce((sum, { length }) => sum + length, 0));
  images.forEach((image, at) => values.set(image, at * image.length));
  return values;
}

function imageCodes(
  { images }: Pick<ImageBatch, "images">,
  shape: readonly number[],
  all: Int32Array<ArrayBuffer>,
): ImageCodes[] {
  const size = sizeOf(shape);
  return images.map(({ path }, at) => {
    const values = all.slice(at * size, (at + 1) * size);
    if (values.some((index) => index < 0)) {
      throw new RangeError(
        `Cannot encode ${path}: its features must be finite, got some that are not`,
      );
    }
    return { shape, values };
  });
}

/** Rejects codes that a run cannot decode.
 * @param path the name of the codes in error messages
 * @param force whether to accept codes of other weights
 * @throws {RangeError} the codes are of other weights, have other axes, or are of images that are too large, or an
 * index is out of range
 */
export function checkCodes(
  path: string,
  { names, codes, origin }: SavedCodes,
  { model, identity }: Pick<OpenedRun, "model" | "identity">,
  force: boolean,
): void {
  const refuse = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot decode ${path}: ${requirement}, got ${actual}`);
  };
  if (origin !== undefined && origin.run !== identity && !force) {
    refuse(
      `the codes must be made with these weights, ${identity}`,
      `those of ${origin.run}; --checkpoint and --weights choose others, --force decodes them anyway`,
    );
  }
  const { codeAxes, choices, downsampling, grid } = model;
  const starts = model.network.quantizer.codeStarts;
  codes.forEach(({ shape, values }, at) => {
    const of = `the codes of ${names[at]} must be`;
    const [height, width, ...axes] = [...grid ?? [], ...shape];
    if (!(height >= 1 && width >= 1) || !sameShape(axes, codeAxes)) {
      const wanted = [...grid === undefined ? ["h", "w"] : [], ...codeAxes];
      refuse(`${of} [${wanted.join(", ")}]`, `shape [${shape.join(", ")}]`);
    }
    if (height * width * downsampling ** 2 > MOST_PIXELS) {
      refuse(
        `${of} those of an image of at most ${MOST_PIXELS} pixels`,
        `${height * downsampling}×${width * downsampling}`,
      );
    }
    values.forEach((index, place) => {
      const start = starts[place % starts.length];
      if (index >= start && index < start + choices) return;
      refuse(`${of} in [${start}, ${start + choices})`, `${index} at place ${place}`);
    });
  });
}
