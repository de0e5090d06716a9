/** Reconstructs images from their codes, and measures the error.
 *
 *     deno task reconstruct runs/digits pictures --out rebuilt
 */
import { join } from "node:path";
import * as z from "zod";
import { sameShape, sizeOf } from "../core/shape.ts";
import type { FoundImage, ImageBatch } from "../data/image_batches.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { peakSignalToNoise } from "../metrics/psnr.ts";
import { drawSampleGrid } from "../objectives/sample_grid.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { reconstructBatch } from "../training/codec.ts";
import { checkImageName, pngNames } from "../training/image_names.ts";
import {
  checkKeepsImages,
  IMAGE_OPERANDS,
  IMAGE_OPTIONS,
  ImageWork,
  makeFolder,
  rateOf,
  requireOut,
  RUN_OPTIONS,
  showRate,
  tilingOf,
  useRun,
  writePicture,
} from "./codec.ts";
import { taskCall } from "./call.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { INTERRUPTED } from "./interruption.ts";
import { Output } from "./output.ts";

const GRID = "grid.png";
/** The maximum number of images on the grid, and of their pixels in total. There is always at least one image. */
const SHOWN = 16, SHOWN_PIXELS = 2 ** 24;

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null)
    .describe("the folder for the pictures, required; files with the same names are replaced"),
  ...IMAGE_OPTIONS,
  ...RUN_OPTIONS,
});

const COMMAND: Command = {
  call: taskCall("reconstruct"),
  summary:
    "Encodes and decodes images with a trained run. Writes a PNG file for each, and grid.png: " +
    "up to sixteen images of the first image's size above their reconstructions.",
  operands: IMAGE_OPERANDS,
  options: settingsOf(OPTIONS),
  settings: [],
};

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const out = requireOut(options.out, "the folder of the pictures");
  const output = new Output(options.json);
  using run = await useRun(line.operands.RUN, options);
  const { model, device, identity } = run;
  using work = new ImageWork(output, options, model);
  const { folder, images } = await work.list(line.operands.IMAGES);
  const pictures = namePictures(images);
  await makeFolder(out);
  const written = [...pictures.values(), GRID];
  await checkKeepsImages(out, written, folder, images.map(({ name }) => name));
  output.say(`reconstructing ${images.length} images on ${device.description}`);

  const rate = rateOf(model), grid = new Grid(), errors: number[] = [];
  for await (const batch of work.batches(images)) {
    const [, ...shape] = batch.shape, [height, width] = shape, size = sizeOf(shape);
    const tiling = tilingOf(options, model, [height, width]);
    const rebuilt = await reconstructBatch(model, device, batch, tiling);
    for (const [at, { name, height, width }] of batch.images.entries()) {
      const own = rebuilt.values.subarray(at * size, (at + 1) * size);
      await writePicture(out, pictures.get(name)!, own, shape);
      rate.add(rebuilt.codes[at].values, height * width);
    }
    errors.push(...rebuilt.errors);
    grid.add(batch, rebuilt.values);
  }
  if (work.isStopped) {
    output.result({ finished: false, out, images: errors.length }, [
      `stopped; ${out} has ${errors.length} of ${images.length} images`,
    ]);
    return INTERRUPTED;
  }
  if (errors.length === 0) {
    throw new RangeError(
      "Cannot reconstruct images: at least one must be readable, got only broken ones",
    );
  }
  await writeAtomically(join(out, GRID), grid.draw());
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  const mse = mean(errors), psnr = mean(errors.map((error) => peakSignalToNoise(error, 2)));
  const bits = rate.result();
  output.result({
    ...{ run: line.operands.RUN, identity, device: device.description, out },
    ...{ images: errors.length, broken: work.broken, mse, psnr, bits },
  }, [
    `images       ${errors.length}`,
    `mse          ${mse.toPrecision(5)} of values in [−1, 1], before rounding`,
    `PSNR         ${psnr.toFixed(2)} dB`,
    ...showRate(bits, model.choices),
    `the images are in ${out}, the first ones also in ${join(out, GRID)}`,
  ]);
  return 0;
}

/** The names of the output pictures, by the names of the images. */
function namePictures(images: readonly FoundImage[]): ReadonlyMap<string, string> {
  const names = images.map(({ name }) => name);
  for (const name of names) checkImageName(name, "rebuild images");
  const written = pngNames(names, [GRID]);
  return new Map(names.map((name, at) => [name, written[at]]));
}

/** A grid of the first images that have the first image's size, above their reconstructions. */
class Grid {
  readonly #originals: Float32Array[] = [];
  readonly #reconstructions: Float32Array[] = [];
  #imageShape: readonly [number, number, number] | undefined;

  add({ values, shape: [count, ...shape] }: ImageBatch, rebuilt: Float32Array): void {
    this.#imageShape ??= shape;
    if (!sameShape(shape, this.#imageShape)) return;
    const most = Math.min(SHOWN, Math.max(1, Math.floor(SHOWN_PIXELS / (shape[0] * shape[1]))));
    const size = sizeOf(shape);
    for (let at = 0; at < count && this.#originals.length < most; at++) {
      this.#originals.push(values.slice(at * size, (at + 1) * size));
      this.#reconstructions.push(rebuilt.slice(at * size, (at + 1) * size));
    }
  }

  draw(): Uint8Array<ArrayBuffer> {
    const size = sizeOf(this.#imageShape!);
    const joined = (images: readonly Float32Array[]) => {
      const values = new Float32Array(images.length * size);
      images.forEach((image, at) => values.set(image, at * size));
      return values;
    };
    return drawSampleGrid({
      originals: joined(this.#originals),
      reconstructions: joined(this.#reconstructions),
      imageShape: this.#imageShape!,
    });
  }
}

if (import.meta.main) await runTask(() => main(Deno.args));
