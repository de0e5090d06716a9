/** Encodes images to the codes of a trained run.
 *
 *     deno task encode runs/digits pictures --out codes.safetensors
 */
import { dirname } from "node:path";
import * as z from "zod";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { encodeBatch } from "../training/codec.ts";
import { checkCodesPath, type ImageCodes, writeCodes } from "../training/codes_file.ts";
import {
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
} from "./codec.ts";
import { taskCall } from "./call.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { INTERRUPTED } from "./interruption.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null)
    .describe("the file for the codes, .safetensors or .npy, required"),
  ...IMAGE_OPTIONS,
  ...RUN_OPTIONS,
});

const COMMAND: Command = {
  call: taskCall("encode"),
  summary: "Encodes images to the codes of a trained run. A .safetensors file has int32 codes " +
    "[N, h, w, …] and the images' names; if the images' sizes differ, one entry per image: codes.0, codes.1, … " +
    "A .npy file has the codes of images of one size; a .json file beside it has the names.",
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
  const out = requireOut(options.out, "the file of the codes, .safetensors or .npy");
  asUsage(() => checkCodesPath(out, [], true));
  const output = new Output(options.json);
  using run = await useRun(line.operands.RUN, options);
  const { model, device, identity } = run;
  using work = new ImageWork(output, options, model);
  const { images } = await work.list(line.operands.IMAGES);
  const sameSize = images.every(({ height, width }) =>
    height === images[0].height && width === images[0].width
  );
  checkCodesPath(out, images.map(({ name }) => name), sameSize);
  await makeFolder(dirname(out)); // Errors in writing should occur before the work.
  output.say(`encoding ${images.length} images on ${device.description}`);

  const rate = rateOf(model), codes = new Map<string, ImageCodes>();
  for await (const batch of work.batches(images)) {
    const [, height, width] = batch.shape;
    const tiling = tilingOf(options, model, [height, width]);
    const encoded = await encodeBatch(model, device, batch, tiling);
    batch.images.forEach(({ name, height, width }, at) => {
      codes.set(name, encoded[at]);
      rate.add(encoded[at].values, height * width);
    });
  }
  if (work.isStopped) {
    output.result({ finished: false, out }, [`stopped; ${out} was not written`]);
    return INTERRUPTED;
  }
  const names = images.map(({ name }) => name).filter((name) => codes.has(name));
  if (names.length === 0) {
    throw new RangeError(
      "Cannot encode: at least one image must be readable, got only broken ones",
    );
  }
  const { codebookSize, downsampling } = model;
  const saved = { names, codes: names.map((name) => codes.get(name)!) };
  await writeCodes(out, saved, { run: identity, codebookSize, downsampling });
  const bits = rate.result();
  output.result({
    ...{ run: line.operands.RUN, identity, device: device.description, out },
    ...{ images: names.length, broken: work.broken, codebookSize, downsampling, bits },
  }, [
    `images       ${names.length}`,
    ...showRate(bits, model.choices),
    `the codes are in ${out}`,
  ]);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
