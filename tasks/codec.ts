/** Common parts of encode, decode and reconstruct. */
import { mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import {
  batchesBySize,
  type FoundImage,
  type ImageBatch,
  listImages,
  readBatch,
} from "../data/image_batches.ts";
import type { BrokenFileError } from "../data/image_file.ts";
import { encodePng } from "../data/image_png.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { CodeRate, type Rate } from "../metrics/code_rate.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { checkTiling, type Tiling, USUAL_TILING } from "../models/tiles.ts";
import { type OpenedRun, openRun } from "../training/open_run.ts";
import { asUsage, UsageError } from "./fail.ts";
import { ImageProgress } from "./image_progress.ts";
import { Interruption } from "./interruption.ts";
import { jsonOption } from "./json_option.ts";
import type { Output } from "./output.ts";
import { WEIGHTS_OPTIONS } from "./weights_options.ts";

/** The flags for the weights, the device and the batch size. */
export const RUN_OPTIONS = {
  ...WEIGHTS_OPTIONS,
  batch: z.int().min(1).nullable().default(null)
    .describe("images per batch; none: as many as have about a million pixels, 128 at most"),
  tile: z.int().min(1).nullable().default(null).describe(
    "the side of the tiles that larger images are split into, in pixels; none: 512 for images of more than a million pixels",
  ),
  overlap: z.int().min(0).nullable().default(null)
    .describe("pixels that neighbouring tiles share; none: an eighth of a tile"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("the device to compute on; auto: a hardware GPU if there is one, otherwise the cpu"),
  "cpu.blas": z.string().min(1).nullable().default(null)
    .describe("library for the matrix products of the cpu device, as in train; none: auto"),
  json: jsonOption("the numbers"),
};

/** The flags of the tasks that read images. */
export const IMAGE_OPTIONS = {
  crop: z.boolean().default(false).describe(
    "crops to the largest central part whose sides are divisible by the downsampling factor",
  ),
  "skip-broken": z.boolean().default(false)
    .describe("skips images that cannot be decoded, and prints their names"),
};

/** The operands of the tasks that read images. */
export const IMAGE_OPERANDS = [
  { name: "RUN", description: "the run's folder, such as runs/digits" },
  {
    name: "IMAGES",
    description: "a folder, including its subfolders, or one image",
  },
];

/** The values of the run flags. */
export type RunFlags = z.output<z.ZodObject<typeof RUN_OPTIONS>>;
/** The values of the image flags. */
export type ImageFlags = z.output<z.ZodObject<typeof IMAGE_OPTIONS>>;

/** The output path of a task.
 * @throws {UsageError} it was not given
 */
export function requireOut(out: string | null, what: string): string {
  if (out !== null) return out;
  throw new UsageError(`Cannot read the command line: --out must name ${what}, got none`);
}

/** A run opened on a device. */
export interface RunInUse extends OpenedRun {
  /** The device. */
  readonly device: Device;
}

/** Opens a device, and a run on it. */
export async function useRun(path: string, flags: RunFlags): Promise<RunInUse> {
  const device = await openDevice(flags.device, { blas: flags["cpu.blas"] ?? undefined });
  try {
    const { checkpoint, weights } = flags;
    const run = await openRun(path, device, { checkpoint, weights });
    return {
      ...run,
      device,
      [Symbol.dispose]: () => {
        run[Symbol.dispose]();
        device.close();
      },
    };
  } catch (error) {
    device.close();
    throw error;
  }
}

/** Processes the images of a task batch by batch, with progress and interruption. */
export class ImageWork implements Disposable {
  readonly #output: Output;
  readonly #flags: RunFlags & ImageFlags;
  readonly #interruption: Interruption;
  readonly #channels: 1 | 3;
  readonly #divisor: number;
  #progress: ImageProgress | undefined;
  /** The number of images that were skipped. */
  broken = 0;

  /** Starts to listen for Ctrl-C.
   * @throws {RangeError} the run is of images that are neither grey nor in colour
   */
  constructor(output: Output, flags: RunFlags & ImageFlags, model: FirstStage) {
    const { channels, downsampling } = model;
    if (channels !== 1 && channels !== 3) {
      throw new RangeError(
        `Cannot encode images: the run must be of images of 1 or 3 channels, got ${channels}`,
      );
    }
    this.#output = output;
    this.#flags = flags;
    this.#channels = channels;
    this.#divisor = downsampling;
    this.#interruption = stopInOrder(output, () => this.#progress);
  }

  /** Whether Ctrl-C has stopped the work. */
  get isStopped(): boolean {
    return this.#interruption.signal.aborted;
  }

  /** Finds the images, and reports how colour is handled if the run is of grey images. */
  async list(path: string): Promise<{
    readonly folder: string;
    readonly images: readonly FoundImage[];
  }> {
    const rules = { divisor: this.#divisor, crop: this.#flags.crop, onBroken: this.#onBroken };
    const found = await listImages(path, rules, this.#interruption.signal);
    const coloured = found.images.filter(({ isGrey }) => !isGrey).length;
    if (this.#channels === 1 && coloured > 0) {
      this.#output.say(
        `the run is of grey images: ${coloured} of ${found.images.length} are in colour, and are converted to grey`,
      );
    }
    return found;
  }

  /** Decodes the images batch by batch, until Ctrl-C. */
  async *batches(images: readonly FoundImage[]): AsyncGenerator<ImageBatch> {
    const progress = this.#progress = new ImageProgress(this.#output, images.length);
    let done = 0;
    for (const part of batchesBySize(images, this.#flags.batch)) {
      if (this.isStopped) break;
      const batch = await readBatch(part, this.#channels, { onBroken: this.#onBroken });
      if (batch !== undefined) yield batch;
      progress.show(done += part.length);
    }
    progress.clear();
    if (this.broken > 0 && !this.isStopped) {
      this.#output.say(`${this.broken} broken images were skipped`);
    }
  }

  get #onBroken(): ((error: BrokenFileError) => void) | undefined {
    if (!this.#flags["skip-broken"]) return undefined;
    return (error) => {
      this.broken++;
      this.#progress?.clear();
      this.#output.say(`${error.message}; skipped`);
    };
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#progress?.clear();
    this.#interruption[Symbol.dispose]();
  }
}

/** Listens for Ctrl-C, and reports that the task stops. */
export function stopInOrder(
  output: Output,
  progress: () => ImageProgress | undefined,
): Interruption {
  return new Interruption(() => {
    progress()?.clear();
    output.say("stopping after this batch; press Ctrl-C again to stop at once");
  });
}

/** Images with more pixels are processed in tiles by default. */
const MOST_WHOLE = 2 ** 20;

/** The tiles for images of a size; undefined if they are processed as a whole.
 * @throws {UsageError} the tiles do not fit the model
 */
export function tilingOf(
  { tile, overlap }: Pick<RunFlags, "tile" | "overlap">,
  { downsampling, grid }: FirstStage,
  [height, width]: readonly [height: number, width: number],
): Tiling | undefined {
  if (tile === null && (grid !== undefined || height * width <= MOST_WHOLE)) return undefined;
  const divisible = (length: number) => Math.floor(length / downsampling) * downsampling;
  const side = tile ?? divisible(USUAL_TILING.tile);
  const tiling = { tile: side, overlap: overlap ?? divisible(side / 8) };
  asUsage(() => checkTiling(tiling, downsampling));
  return Math.max(height, width) <= side ? undefined : tiling;
}

/** Counts the codes of a model: those of a position separately, those of a whole grid together. */
export function rateOf({ choices, codeAxes, grid }: FirstStage): CodeRate {
  return new CodeRate({ choices, codesPerPlace: grid === undefined ? sizeOf(codeAxes) : 1 });
}

/** Formats a rate. */
export function showRate({ uniform, entropy }: Rate, choices: number): string[] {
  const show = ({ image, pixel }: Rate["uniform"]) =>
    `${image.toFixed(1)} bits per image, ${pixel.toFixed(4)} per pixel`;
  return [
    `indices      ${show(uniform)}, at log2 ${choices} bits each`,
    `entropy      ${show(entropy)}, by how often each code was chosen`,
  ];
}

/** Writes an image into a folder atomically, under a name that has been checked.
 * @throws {Error} it cannot be written
 */
export async function writePicture(
  folder: string,
  name: string,
  values: Float32Array,
  shape: readonly [height: number, width: number, channels: number],
): Promise<void> {
  const path = join(folder, name);
  await makeFolder(dirname(path));
  await writeAtomically(path, encodePng(values, shape));
}

/** Creates a folder and its parent folders.
 * @throws {Error} it cannot be created
 */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: Error) => {
    throw new Error(
      `Cannot make the folder ${path}: the location must be writable, got ${cause.message}`,
      { cause },
    );
  });
}

/** Refuses to overwrite the images that the pictures are made from.
 * @param written names of the pictures in the existing folder `out`
 * @param read names of the images in their folder
 * @throws {RangeError} one would replace an image
 */
export async function checkKeepsImages(
  out: string,
  written: readonly string[],
  folder: string,
  read: readonly string[],
): Promise<void> {
  const [target, source] = await Promise.all([out, folder].map((path) => realpath(path)));
  const paths = new Set(read.map((name) => join(source, name).toLowerCase()));
  const replaced = written.find((name) => paths.has(join(target, name).toLowerCase()));
  if (replaced === undefined) return;
  throw new RangeError(
    `Cannot write into ${out}: no output may replace an input image, got ${
      join(out, replaced)
    }; --out chooses another folder`,
  );
}
