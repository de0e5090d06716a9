/** Decodes codes to images with the run that encoded them.
 *
 *     deno task decode runs/digits codes.safetensors --out rebuilt
 */
import * as z from "zod";
import { batchesBySize } from "../data/image_batches.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { checkCodes, decodeBatch } from "../training/codec.ts";
import { readCodes, type SavedCodes } from "../training/codes_file.ts";
import { pngNames } from "../training/image_names.ts";
import {
  makeFolder,
  rateOf,
  requireOut,
  RUN_OPTIONS,
  type RunInUse,
  showRate,
  stopInOrder,
  tilingOf,
  useRun,
  writePicture,
} from "./codec.ts";
import { taskCall } from "./call.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { ImageProgress } from "./image_progress.ts";
import { INTERRUPTED } from "./interruption.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null)
    .describe("the folder for the images, required; files with the same names are replaced"),
  force: z.boolean().default(false).describe(
    "also decodes codes that were made with other weights",
  ),
  ...RUN_OPTIONS,
});

type Options = z.output<typeof OPTIONS>;

const COMMAND: Command = {
  call: taskCall("decode"),
  summary:
    "Decodes codes that encode wrote to PNG files with the names of the original images. A NumPy array " +
    "without a .json file gives numbered files.",
  operands: [
    { name: "RUN", description: "the run's folder, such as runs/digits" },
    { name: "CODES", description: "the file of the codes, .safetensors or .npy" },
  ],
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
  const out = requireOut(options.out, "the folder of the images");
  const { RUN: path, CODES: file } = line.operands;
  const output = new Output(options.json);
  const saved = await readCodes(file);
  using run = await useRun(path, options);
  const { model, device, identity } = run;
  checkCodes(file, saved, run, options.force);
  if (saved.origin === undefined) {
    output.say(`${file} does not name the run that made it; assuming ${path}`);
  } else if (saved.origin.run !== identity) {
    output.say(
      `${file} was made with the weights ${saved.origin.run}, and is decoded with ${identity}`,
    );
  }
  const count = saved.codes.length;
  output.say(`decoding ${count} images on ${device.description}`);
  await makeFolder(out);
  const written = await decodeInto(out, saved, run, options, output);
  if (written < count) {
    output.result({ finished: false, out, images: written }, [
      `stopped; ${out} has ${written} of ${count} images`,
    ]);
    return INTERRUPTED;
  }
  const rate = rateOf(model), { downsampling, grid } = model;
  for (const { shape, values } of saved.codes) {
    const [height, width] = grid ?? shape;
    rate.add(values, height * width * downsampling ** 2);
  }
  const bits = rate.result();
  output.result({ run: path, identity, device: device.description, out, images: count, bits }, [
    `images       ${count}`,
    ...showRate(bits, model.choices),
    `the images are in ${out}`,
  ]);
  return 0;
}

/** Writes the images until Ctrl-C.
 * @returns their number
 */
async function decodeInto(
  out: string,
  { names, codes }: SavedCodes,
  { model, device }: RunInUse,
  options: Options,
  output: Output,
): Promise<number> {
  const { downsampling, channels, grid } = model;
  const pictures = pngNames(names).map((name, at) => {
    const [height, width] = (grid ?? codes[at].shape).map((side) => side * downsampling);
    return { name, codes: codes[at], height, width };
  });
  const progress = new ImageProgress(output, pictures.length);
  using interruption = stopInOrder(output, () => progress);
  let written = 0;
  for (const part of batchesBySize(pictures, options.batch)) {
    const [{ height, width }] = part;
    const tiling = tilingOf(options, model, [height, width]);
    const values = await decodeBatch(model, device, part.map(({ codes }) => codes), tiling);
    const size = values.length / part.length;
    for (const [at, { name, height, width }] of part.entries()) {
      const own = values.subarray(at * size, (at + 1) * size);
      await writePicture(out, name, own, [height, width, channels]);
    }
    progress.show(written += part.length);
    if (interruption.signal.aborted) break;
  }
  progress.clear();
  return written;
}

if (import.meta.main) await runTask(() => main(Deno.args));
