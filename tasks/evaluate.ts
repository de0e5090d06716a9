/** Measures a trained model over the whole test set.
 *
 *     deno task evaluate runs/digits --checkpoint best
 */
import { z } from "zod";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
import { randomKey } from "../core/random.ts";
import { readSettings, settingsOf } from "../core/settings.ts";
import { evaluationBatches } from "../data/batches.ts";
import { openDataset } from "../data/registry.ts";
import { checkIdentity, readCheckpoint } from "../training/checkpoint.ts";
import { constructModel, restoreModel } from "../training/construct.ts";
import { evaluate } from "../training/evaluation.ts";
import { identityOf } from "../training/identity.ts";
import { testNumbers } from "../training/protocol.ts";
import { resolveConfig } from "../training/resolve.ts";
import { RunFolder } from "../training/run_folder.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { showTestNumbers } from "./measured.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  checkpoint: z.string().min(1).default("last")
    .describe("last, best (the epoch with the lowest test mse), or the path of a file"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("where to compute; auto takes a real GPU, else the cpu"),
  cpu: z.strictObject({
    blas: z.string().min(1).nullable().default(null)
      .describe("whose products the cpu device takes, as in train; none: as the run was trained"),
  }).prefault({}),
  json: z.boolean().default(false)
    .describe("prints the numbers as the last line of stdout, all else on stderr"),
});

const COMMAND: Command = {
  call: "deno task evaluate",
  summary: "Measures mse, PSNR, usage and perplexity of a trained model over the whole test set.",
  operands: [{ name: "RUN", description: "the run's folder, such as runs/digits" }],
  options: settingsOf(OPTIONS),
  settings: [],
};

async function main(): Promise<number> {
  const line = readCommandLine(Deno.args, COMMAND);
  if (line.help) {
    console.log(showHelp(COMMAND));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const folder = new RunFolder(line.operands.RUN);
  if (await folder.state() === "empty") {
    throw new Error(`Cannot evaluate ${folder.path}: the folder must hold a run, got none`);
  }
  const config = resolveConfig({ saved: await folder.readConfig() });
  const { checkpoint: which } = options;
  const path = which === "last" || which === "best" ? folder.checkpoint(which) : which;
  const checkpoint = await readCheckpoint(path);
  checkIdentity(path, checkpoint.identity, identityOf(config));

  const dataset = await openDataset(config.data.name);
  using device = await openDevice(options.device, { blas: options.cpu.blas ?? config.cpu.blas });
  const output = new Output(options.json);
  output.say(`evaluating ${path} on ${device.description}`);
  const model = constructModel(config, device, dataset);
  restoreModel(model, checkpoint);
  const batches = evaluationBatches(dataset, {
    split: "test",
    batchSize: config.training.batchSize,
  });
  const key = randomKey(config.seed, "evaluation");
  const test = await evaluate(device, model, batches, dataset.imageShape, key);
  const numbers = await testNumbers(test, dataset);
  output.result(
    { run: folder.path, checkpoint: path, device: device.description, ...numbers },
    showTestNumbers(numbers),
  );
  return 0;
}

await runTask(main);
