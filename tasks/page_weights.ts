/** Writes the page's data: the weights of a generator and of its first stage in float16, and some digits.
 *
 *     deno task page:weights runs/page-transformer
 *     deno task page:weights runs/page-diffusion
 */
import { fileURLToPath } from "node:url";
import { openDevice } from "../core/device.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { writeSafetensors } from "../files/safetensors.ts";
import type { Dataset, Split } from "../data/dataset.ts";
import type { Module } from "../nn/module.ts";
import { AutoregressionObjective } from "../objectives/autoregression.ts";
import { DiffusionObjective } from "../objectives/diffusion.ts";
import { latentDiffusionKind } from "../objectives/latent_diffusion_kind.ts";
import { Picture } from "../objectives/picture.ts";
import { openGenerator } from "../training/open_generator.ts";
import { openRun } from "../training/open_run.ts";
import { asInput, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";

const COMMAND: Command = {
  call: "deno task page:weights",
  summary: "Writes the generator, its first stage and page/digits.png.",
  operands: [{ name: "RUN", description: "the run of a transformer or a latent diffusion" }],
  options: [],
  settings: [],
};

/** The layout of `digits.png`: rows of training images, then one row of test images. */
const COLUMNS = 32, TRAINING_ROWS = 15;

const pathOf = (file: string) => fileURLToPath(new URL(`../page/${file}`, import.meta.url));

/** Writes a model, with its settings as JSON in the metadata. */
async function writeModel(name: string, model: Module, settings: object): Promise<void> {
  const path = pathOf(`weights/${name}.safetensors`);
  const metadata = new Map(Object.entries(settings).map(([key, of]) => [key, JSON.stringify(of)]));
  await writeSafetensors(path, await model.stateDictionary(), metadata, "F16");
  console.log(`${path}: ${((await Deno.stat(path)).size / 1000).toFixed(0)} kB`);
}

/** Writes images taken at even intervals from the data set. */
async function writeDigits(dataset: Dataset): Promise<void> {
  const [height, width, channels] = dataset.imageShape, size = height * width * channels;
  const picture = new Picture(height * (TRAINING_ROWS + 1), width * COLUMNS, 1);
  const paint = async (split: Split, first: number, rows: number) => {
    const count = rows * COLUMNS, stride = dataset.sizes[split] / count;
    const indices = Int32Array.from({ length: count }, (_, at) => Math.floor((at + 0.5) * stride));
    const images = await dataset.images(split, indices);
    for (let at = 0; at < count; at++) {
      const corner = [
        height * (first + Math.floor(at / COLUMNS)),
        width * (at % COLUMNS),
      ] as const;
      picture.paint(images.subarray(at * size, (at + 1) * size), dataset.imageShape, corner);
    }
  };
  await paint("train", 0, TRAINING_ROWS);
  await paint("test", TRAINING_ROWS, 1);
  const path = pathOf("digits.png"), png = picture.png();
  await writeAtomically(path, png);
  console.log(`${path}: ${(png.length / 1000).toFixed(0)} kB`);
}

/** Runs the task and gives the exit code.
 * @param args of the command line
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const { RUN } = line.operands;
  using device = await openDevice("reference");
  using run = await asInput(() => openGenerator(RUN, device));
  const { config, generator, dataset } = run;
  const { type: _, ...settings } = config.model;
  if (config.stage1 !== null && generator instanceof AutoregressionObjective) {
    const { model } = generator, { codebookSize, grid, classes } = model;
    await writeModel("transformer", model, {
      transformer: { ...settings, codebookSize, grid, classes, causal: true },
    });
  } else if (config.stage1 !== null && generator instanceof DiffusionObjective) {
    const { model } = generator, { channels, classes } = model.denoiser;
    const { type: _, ...own } = config.objective;
    const { prediction, schedule, times, firstBeta, lastBeta, scaling, components } =
      latentDiffusionKind.schema.parse(own);
    const width = model.latents!.mean.size;
    await writeModel("diffusion", model, {
      unet: { ...settings, channels, classes },
      latents: { width, scaling, components: components ?? undefined },
      schedule: {
        ...{ type: schedule, times },
        ...{ first: firstBeta ?? undefined, last: lastBeta ?? undefined },
      },
      prediction,
    });
  } else {
    throw new UsageError(
      "Cannot write the page's weights: " +
        `${RUN} must be of autoregression or latent-diffusion, got ${config.objective.type}`,
    );
  }
  using stage1 = await openRun(config.stage1, device);
  const { network } = stage1.model;
  await writeModel("stage1", network, {
    quantizer: stage1.config.quantizer,
    model: stage1.config.model,
    channels: network.channels,
  });
  await writeDigits(dataset);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
