/** Evaluates a trained model on the whole test set, or compares two folders of images.
 *
 *     deno task evaluate runs/digits --checkpoint best --metrics ssim,psnr
 *     deno task evaluate --images originals reconstructions
 */
import { basename, join, resolve } from "node:path";
import * as z from "zod";
import { DEVICE_CHOICES, openDevice } from "../core/device.ts";
import { randomKey } from "../core/random.ts";
import { PRECISIONS } from "../core/precision.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { readyForJson } from "../files/json_number.ts";
import type { Device } from "../core/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import { pairImages } from "../data/image_pairs.ts";
import { openDataset } from "../data/registry.ts";
import { METRIC_NAMES, metricNeeds, parseMetricNames } from "../metrics/registry.ts";
import { checkFinite, checkIdentity, readCheckpoint } from "../training/checkpoint.ts";
import { type Config, configSettings } from "../training/config.ts";
import { constructModel, restoreModel } from "../training/construct.ts";
import type { Communicator } from "../training/distributed/communicator.ts";
import { awaitTurnToFail } from "../training/distributed/mpi.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import { addFolders } from "../training/folder_evaluation.ts";
import { printableLines } from "../training/printable.ts";
import { identityOf } from "../training/identity.ts";
import type { Unmeasured } from "../training/image_evaluation.ts";
import { DamagedFileError } from "../training/read_back.ts";
import { drawReport } from "../reports/run_report.ts";
import { evaluateRun } from "../training/run_evaluation.ts";
import { resolveUnchecked } from "../training/resolve.ts";
import { RunFolder } from "../training/run_folder.ts";
import { taskCall } from "./call.ts";
import { devicesOf, evaluateGeneratorRun } from "./evaluate_generator.ts";
import { openEvaluation, saveReference } from "./evaluate_metrics.ts";
import { isGenerator, samplingOf, samplingSettings } from "./sampling.ts";
import { asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, type CommandLine, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { jsonOption } from "./json_option.ts";
import { showCodebook, showMeasurements, showTestNumbers } from "./measured.ts";
import { openPage } from "./open_page.ts";
import { Output } from "./output.ts";
import {
  checkSameSettings,
  openRanks,
  outputOf,
  placeOf,
  RANK_OPTIONS,
  shareDevice,
} from "./ranks.ts";
import { WEIGHTS_OPTIONS } from "./weights_options.ts";

const OPTIONS = z.strictObject({
  checkpoint: z.string().min(1).default("last")
    .describe("last, best (the epoch with the lowest test mse), or the path of a file"),
  images: z.boolean().default(false)
    .describe("compares two folders of images, A and B, instead of evaluating a run"),
  split: z.enum(["train", "test"]).default("test").describe("the part of the data set"),
  limit: z.int().min(1).nullable().default(null).describe(
    "measures only this many images, from the start",
  ),
  weights: WEIGHTS_OPTIONS.weights,
  count: z.int().min(1).nullable().default(null)
    .describe(
      "the number of images to generate with a generator; none: as many as the test set has",
    ),
  metrics: z.string().min(1).nullable().default(null)
    .describe(`names separated by commas: ${METRIC_NAMES.join(", ")}`),
  "metrics.weights": z.string().min(1).nullable().default(null)
    .describe("the folder with the weight files of the metrics' networks, safetensors or PyTorch"),
  "metrics.reference": z.string().min(1).nullable().default(null)
    .describe("a file of statistics (.npz with mu and sigma) that replaces the originals in FID"),
  "metrics.save": z.string().min(1).nullable().default(null)
    .describe("writes the FID statistics of the originals to such a file"),
  rounding: z.enum(["float", "8-bit"]).default("float")
    .describe("whether to round values to bytes before the measurement, as in a file"),
  report: z.boolean().default(true)
    .describe("writes evaluation.json and report.html into the run's folder"),
  open: z.boolean().default(false).describe("opens the report of a run; needs --allow-run"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("the device to compute on; auto: a hardware GPU if there is one, otherwise the cpu"),
  "cpu.blas": z.string().min(1).nullable().default(null)
    .describe(
      "library for the matrix products of the cpu device, as in train; none: as the run was trained",
    ),
  "cpu.dnn": z.string().min(1).nullable().default(null)
    .describe(
      "library for the convolutions of the cpu device, as in train; none: as the run was trained",
    ),
  "cpu.threads": z.int().min(1).nullable().default(null)
    .describe("threads of the cpu device; none: as the run was trained"),
  precision: z.enum([...PRECISIONS]).nullable().default(null)
    .describe(
      "precision of the layers, also in the metrics' networks; none: as the run was trained",
    ),
  ...RANK_OPTIONS,
  json: jsonOption("the numbers"),
});

type Options = z.output<typeof OPTIONS>;

/** The libraries of the cpu device that the command line names. */
function librariesOf(options: Options): { readonly blas?: string; readonly dnn?: string } {
  const { "cpu.blas": blas, "cpu.dnn": dnn } = options;
  return { ...blas !== null && { blas }, ...dnn !== null && { dnn } };
}

/** The paths of the run's images. They may have moved, and addresses are accepted only on the command line. */
const WHEREABOUTS = new Set(["data.root", "data.path", "data.train", "data.test"]);

const COMMAND: Command = {
  call: taskCall("evaluate"),
  summary:
    "Evaluates a trained model on the whole test set, and writes evaluation.json and report.html to the " +
    "run's folder; with --images A B, compares two folders of PNG or JPEG files. If a metric cannot be " +
    "measured, the reason is printed, the other metrics are measured, and the exit code is 2.",
  operands: [{ name: "RUN", description: "the run's folder, such as runs/digits" }],
  options: settingsOf(OPTIONS),
  settings: [
    ...configSettings().filter(({ path }) => WHEREABOUTS.has(path)),
    ...samplingSettings(),
  ],
};

const FOLDERS: Command = {
  ...COMMAND,
  settings: [],
  operands: [
    { name: "A", description: "the folder of the originals" },
    {
      name: "B",
      description: "the folder of the reconstructions, with the same names or equally many",
    },
  ],
};

const NOTES = METRIC_NAMES.map((name) => `Metric ${name} needs ${metricNeeds(name)}.`);
const USUAL_OF_RUN = "ssim", USUAL_OF_IMAGES = "mse,mae,psnr,ssim";

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 * @param communicator connects the processes that evaluate together, which all call this; by default, it is opened as
 * the arguments say
 */
export async function main(
  args: readonly string[],
  communicator?: Communicator,
): Promise<number> {
  try {
    return await run(args, communicator);
  } catch (error) {
    awaitTurnToFail();
    throw error;
  }
}

async function run(args: readonly string[], given: Communicator | undefined): Promise<number> {
  const wantsFolders = args.some((arg) => arg === "--images" || arg === "--images=true");
  const line = readCommandLine(args, wantsFolders ? FOLDERS : COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help, { metrics: NOTES }));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const { operands } = line;
  if (options.open && (options.images || !options.report)) {
    throw new UsageError(
      "Cannot evaluate: --open must be given with a run and its report, got neither",
    );
  }
  if (options.images) {
    if (options.distributed === "none") {
      return await evaluateFolders(operands.A, operands.B, options);
    }
    throw new UsageError(
      "Cannot evaluate: --distributed mpi must be given with a run, got two folders of images",
    );
  }
  const communicator = given ?? openRanks(options, line.options);
  asUsage(() => {
    const settings = { path: operands.RUN, ...options, ...line.settings };
    checkSameSettings(settings, communicator, "evaluate");
  });
  const folder = new RunFolder(operands.RUN);
  const code = await evaluateFolder(folder, options, line.settings, communicator);
  communicator.barrier("for the report", Infinity);
  if (given === undefined) communicator[Symbol.dispose](); // Not after an error: that is to be told.
  if (options.open && communicator.rank === 0) {
    await openPage(join(operands.RUN, "report.html"), new Output(options.json));
  }
  return code;
}

async function evaluateFolder(
  folder: RunFolder,
  options: Options,
  settings: CommandLine["settings"],
  communicator: Communicator,
): Promise<number> {
  if (await folder.state() === "empty") {
    throw new Error(`Cannot evaluate ${folder.path}: the folder must hold a run, got none`);
  }
  const names = asUsage(() => parseMetricNames(options.metrics ?? USUAL_OF_RUN));
  const { data, ...sampling } = settings;
  const flags = { ...data === undefined ? {} : { data }, cpu: librariesOf(options) };
  const config = resolveUnchecked({ saved: await folder.readConfig(), flags });
  if (Object.keys(sampling).length > 0) samplingOf(config.objective.type, sampling);
  const output = outputOf(communicator, options);
  if (isGenerator(config.objective.type)) {
    using device = await openDeviceOf(config, options, communicator);
    return await evaluateGeneratorRun(folder.path, device, output, {
      ...options,
      sampling: samplingOf(config.objective.type, sampling),
      metricsWeights: options["metrics.weights"],
      communicator,
    });
  }
  const { checkpoint: which } = options;
  const path = which === "last" || which === "best" ? folder.checkpoint(which) : which;
  const checkpoint = await readCheckpoint(path);
  checkIdentity(path, checkpoint.identity, identityOf(config));
  checkFinite(path, checkpoint);

  const dataset = await openDataset(config.data, { onMessage: (message) => output.say(message) });
  using device = await openDeviceOf(config, options, communicator);
  const replicas = replicasOver(communicator, device);
  const place = placeOf(device, communicator);
  output.say(`evaluating ${path} on ${place}`);
  const model = constructModel(config, device, dataset);
  restoreModel(model, checkpoint, options.weights);
  using evaluation = await openEvaluation(names, device, options.rounding, {
    ...{ options, output, dataset, replicas },
  });
  const { split, limit } = options;
  const evaluated = await evaluateRun(evaluation, {
    device,
    model,
    dataset,
    split,
    limit: limit ?? Infinity,
    batches: evaluationBatches(dataset, {
      ...{ split, batchSize: config.training.batchSize, part: replicas },
    }),
    key: randomKey(config.seed, "evaluation"),
    ages: checkpoint.state.get("codebook.ages")?.values,
    replicas,
  });
  if (communicator.rank > 0) return 0;
  const unmeasured = [...evaluated.unmeasured, ...await saveReference(evaluation, options)];
  const { numbers, measurements, protocols, codebook } = evaluated;
  const result = {
    ...{ run: folder.path, checkpoint: path, device: place },
    ...{ ...numbers, codebook, measurements, unmeasured, protocols },
  };
  if (options.report) {
    const title = basename(resolve(folder.path));
    const records = await folder.records().catch((cause) => {
      if (!(cause instanceof DamagedFileError)) throw cause;
      output.say(`${cause.message}; the report has no curves`);
      return [];
    });
    const devices = await devicesOf(folder.path, place, output);
    const report = drawReport({ title, config, records, evaluation: evaluated, devices });
    await folder.writeEvaluation(readyForJson(result), report);
  }
  output.result(result, [
    ...showTestNumbers(numbers),
    ...showCodebook(codebook),
    ...showMeasurements({ measurements, unmeasured }),
    ...options.report ? [`the report is ${join(folder.path, "report.html")}`] : [],
  ]);
  return exitCode(unmeasured);
}

/** 0 if everything was measured; otherwise prints the reasons and returns 2. */
function exitCode(unmeasured: readonly Unmeasured[]): number {
  for (const reason of new Set(unmeasured.map(({ reason }) => reason))) {
    console.error(printableLines(reason));
  }
  return unmeasured.length === 0 ? 0 : 2;
}

/** Opens the device that trained the run, or the one given on the command line.
 * @param communicator connects the processes that use theirs together, which all call this
 */
async function openDeviceOf(
  config: Config,
  options: Options,
  communicator: Communicator,
): Promise<Device> {
  const { blas, dnn } = config.cpu, { precision } = options;
  const { device, threads } = shareDevice(
    { device: options.device, threads: options["cpu.threads"] ?? config.cpu.threads ?? undefined },
    communicator,
    "evaluate",
  );
  return await openDevice(device, {
    ...{ blas, dnn, threads },
    precision: precision ?? config.precision,
  }).catch((cause: Error) => {
    if (precision !== null || config.precision === "float32") throw cause;
    throw new Error(
      `${cause.message}; the run was trained with that precision; --precision float32 measures it with another protocol`,
      { cause },
    );
  });
}

async function evaluateFolders(first: string, second: string, options: Options): Promise<number> {
  const names = asUsage(() => parseMetricNames(options.metrics ?? USUAL_OF_IMAGES));
  const { pairs, matched } = await pairImages(first, second);
  const chosen = pairs.slice(0, options.limit ?? undefined);
  const output = new Output(options.json);
  using device = await openDevice(options.device, {
    ...librariesOf(options),
    threads: options["cpu.threads"] ?? undefined,
    precision: options.precision ?? undefined,
  });
  output.say(
    `comparing ${chosen.length} pairs of images, matched by ${matched}, on ${device.description}`,
  );
  using evaluation = await openEvaluation(names, device, "8-bit", { options, output });
  const imageShape = await addFolders(evaluation, chosen);
  const measured = await evaluation.result({ originals: `folder ${first}`, imageShape });
  const unmeasured = [...measured.unmeasured, ...await saveReference(evaluation, options)];
  output.result({
    originals: first,
    reconstructions: second,
    matched,
    images: chosen.length,
    ...measured,
    unmeasured,
  }, [
    `images       ${chosen.length}`,
    ...showMeasurements({ ...measured, unmeasured }),
  ]);
  return exitCode(unmeasured);
}

if (import.meta.main) await runTask(() => main(Deno.args));
