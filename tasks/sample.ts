/** Generates images with a trained generator.
 *
 *     deno task sample runs/ldm --count 64 --steps 50 --class 7 --guidance 2 --out samples
 */
import { join } from "node:path";
import * as z from "zod";
import { openDevice } from "../core/device.ts";
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Dataset } from "../data/dataset.ts";
import { encodeGif } from "../data/gif.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { writeSafetensors } from "../files/safetensors.ts";
import { drawImages, pictureOf } from "../objectives/image_grid.ts";
import { Trace } from "../objectives/trace.ts";
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import type { Communicator } from "../training/distributed/communicator.ts";
import { awaitTurnToFail } from "../training/distributed/mpi.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import { openGenerator } from "../training/open_generator.ts";
import { resolveConfig } from "../training/resolve.ts";
import { RunFolder } from "../training/run_folder.ts";
import { taskCall } from "./call.ts";
import { makeFolder, requireOut, RUN_OPTIONS, stopInOrder, writePicture } from "./codec.ts";
import { HALVES, readCompletion } from "./completion.ts";
import { asInput, asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, type CommandLine, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { ImageProgress } from "./image_progress.ts";
import { INTERRUPTED } from "./interruption.ts";
import {
  checkSameSettings,
  openRanks,
  outputOf,
  placeOf,
  RANK_OPTIONS,
  shareDevice,
} from "./ranks.ts";
import { samplingOf, samplingSettings } from "./sampling.ts";

const { batch: _, ...SHARED } = RUN_OPTIONS;

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null)
    .describe("the folder for the pictures, required"),
  count: z.int().min(1).default(64).describe("the number of images"),
  seed: z.int().min(0).default(1).describe("seed of all random numbers"),
  class: z.string().min(1).nullable().default(null).describe(
    "the class of the images, by name or number; all: every class in turn; none: any",
  ),
  batch: z.int().min(1).default(64).describe("images per batch"),
  complete: z.string().min(1).nullable().default(null)
    .describe(
      "an image or a folder of images to complete: a part is given, and the rest is generated",
    ),
  mask: z.string().min(1).default("top").describe(
    `the given half, ${HALVES.join(", ")}, or a mask: a picture whose white pixels are given`,
  ),
  each: z.int().min(1).default(4).describe("completions of each image; count is ignored"),
  trace: z.boolean().default(false).describe(
    "also writes trace.gif, an animation of how the images on the grid are generated, for the first batch",
  ),
  "save-codes": z.boolean().default(false)
    .describe("also writes codes.safetensors, for a generator of codes"),
  ...SHARED,
  ...RANK_OPTIONS,
});

type Options = z.output<typeof OPTIONS>;

/** The file name of the sample grid. */
const GRID = "grid.png";
/** The largest number of images on it. */
const SHOWN = 64;
/** The file name of the animation. */
const TRACE = "trace.gif";

const COMMAND: Command = {
  call: taskCall("sample"),
  summary:
    "Generates images with a trained generator: one PNG per image, and grid.png with the first 64 of them. For completions, the grid has one row per image: the given part, then its completions.",
  operands: [{ name: "RUN", description: "the folder of a generator's run, such as runs/ldm" }],
  options: settingsOf(OPTIONS),
  settings: samplingSettings(),
};

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    awaitTurnToFail();
    throw error;
  }
}

async function run(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const out = requireOut(options.out, "the folder of the pictures");
  const { RUN: path } = line.operands;
  const communicator = openRanks(options, line.options);
  asUsage(() => checkSameSettings({ path, ...options, ...line.settings }, communicator, "sample"));
  const code = await sample({ ...options, path, out }, line.settings, communicator);
  communicator.barrier("for the pictures", Infinity);
  communicator[Symbol.dispose](); // Not after an error: that is to be told, and ends the other processes.
  return code;
}

/** Where the run is, and what to do with it. */
interface SampleOptions extends Options {
  readonly path: string;
  readonly out: string;
}

/** Generates the images with all processes; the first one writes them. */
async function sample(
  options: SampleOptions,
  given: CommandLine["settings"],
  communicator: Communicator,
): Promise<number> {
  const { path, out } = options;
  const folder = new RunFolder(path);
  if (await folder.state() === "empty") {
    throw new Error(`Cannot open ${path}: the folder must hold a run, got none`);
  }
  const { objective } = resolveConfig({ saved: await folder.readConfig() });
  const settings = samplingOf(objective.type, given);
  const output = outputOf(communicator, options);
  const wanted = { device: options.device, threads: undefined };
  const { device: choice, threads } = shareDevice(wanted, communicator, "sample");
  using device = await openDevice(choice, { threads, blas: options["cpu.blas"] ?? undefined });
  const { checkpoint, weights, seed, batch } = options;
  using run = await openGenerator(path, device, { checkpoint, weights });
  const { generator, dataset } = run;
  const completion = options.complete === null
    ? undefined
    : await asInput(() =>
      readCompletion(device, generator, dataset.imageShape, {
        ...options,
        images: options.complete!,
      })
    );
  const count = completion === undefined ? options.count : completion.shown.length * options.each;
  const labels = labelsOf(options.class, count, generator.classes, dataset);
  const isFirst = communicator.rank === 0;
  if (isFirst) await makeFolder(out);
  const place = placeOf(device, communicator);
  output.say(`making ${count} images on ${place}`);

  const trace = options.trace ? new Trace() : undefined;
  const progress = new ImageProgress(output, count);
  using interruption = stopInOrder(output, () => progress);
  const started = performance.now();
  const made = await asInput(() =>
    generator.generate(device, {
      count,
      key: randomKey(seed, "generate"),
      labels,
      given: completion?.given,
      settings,
      batchSize: batch,
      trace,
      onProgress: (done, total) => progress.show(Math.floor(done * count / total)),
      signal: interruption.signal,
      replicas: replicasOver(communicator, device),
    })
  ).catch((error) => {
    if (interruption.signal.aborted || error.name === "AbortError") return undefined;
    throw error;
  });
  progress.clear();
  if (made === undefined) {
    output.result({ finished: false, out }, ["stopped; no picture was written"]);
    return INTERRUPTED;
  }
  const seconds = (performance.now() - started) / 1000;
  if (!isFirst) return 0;
  const { imageShape } = dataset, size = sizeOf(imageShape);
  const digits = String(count - 1).length;
  for (let image = 0; image < count; image++) {
    const values = made.images.subarray(image * size, (image + 1) * size);
    await writePicture(out, `${String(image).padStart(digits, "0")}.png`, values, imageShape);
  }
  const shown = Math.min(count, SHOWN);
  const grid = completion === undefined
    ? drawImages(made.images.subarray(0, shown * size), [shown, ...imageShape])
    : drawCompletions(completion.shown, made.images, options.each, imageShape);
  await writeAtomically(join(out, GRID), grid);
  if (trace !== undefined) {
    const picture = await drawTrace(trace, [Math.min(shown, batch), ...imageShape]);
    await writeAtomically(join(out, TRACE), picture);
  }
  if (options["save-codes"]) await saveCodes(out, count, made);
  output.result({ run: path, device: place, out, images: count, settings, seconds }, [
    `images       ${count} in ${seconds.toFixed(1)} s`,
    `the images are in ${out}, the first ones also in ${join(out, GRID)}`,
  ]);
  return 0;
}

/** The first images, one row each: the given part, then its completions. */
function drawCompletions(
  given: readonly Float32Array[],
  made: Float32Array,
  each: number,
  imageShape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const size = sizeOf(imageShape), columns = each + 1;
  const rows = Math.min(given.length, Math.max(1, Math.floor(SHOWN / columns)));
  const values = new Float32Array(rows * columns * size);
  for (let row = 0; row < rows; row++) {
    values.set(given[row], row * columns * size);
    const own = made.subarray(row * each * size, (row + 1) * each * size);
    values.set(own, (row * columns + 1) * size);
  }
  return drawImages(values, [rows * columns, ...imageShape], { columns });
}

/** The first images of each frame of a trace, as an animated GIF. */
async function drawTrace(
  { frames }: Trace,
  shape: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const pictures = frames.map((values) => pictureOf(values, shape));
  return await encodeGif({ ...pictures[0], frames: pictures.map(({ data }) => data) });
}

/** The requested class of every image; undefined if no class is requested. */
function labelsOf(
  asked: string | null,
  count: number,
  classes: number,
  { classes: names = [] }: Dataset,
): Int32Array | undefined {
  if (asked === null) return undefined;
  if (classes === 0) {
    throw new UsageError(
      `Cannot sample a class: the run must have been trained with classes, got --class ${asked} for a run without classes`,
    );
  }
  if (asked === "all") return Int32Array.from({ length: count }, (_, image) => image % classes);
  const byName = names.indexOf(asked);
  const label = byName >= 0 ? byName : /^\d+$/.test(asked) ? Number(asked) : -1;
  if (label >= 0 && label < classes) return new Int32Array(count).fill(label);
  throw new UsageError(
    `Cannot sample a class: --class must be all, a number below ${classes}, or a name, got ${asked}, ${
      suggestName(asked, names)
    }`,
  );
}

async function saveCodes(
  out: string,
  count: number,
  { codes, codeShape }: {
    readonly codes?: Int32Array<ArrayBuffer>;
    readonly codeShape?: readonly number[];
  },
): Promise<void> {
  if (codes === undefined || codeShape === undefined) {
    throw new UsageError(
      "Cannot save codes: the generator must make codes, got one that makes images directly",
    );
  }
  const path = join(out, "codes.safetensors");
  await writeSafetensors(
    path,
    new Map([["codes", { shape: [count, ...codeShape], values: codes }]]),
  );
}

if (import.meta.main) await runTask(() => main(Deno.args));
