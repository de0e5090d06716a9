/** Trains a model and writes a run's folder.
 *
 *     deno task train --quantizer.type vanilla --training.epochs 2 --out runs/vanilla
 */
import { join } from "node:path";
import * as z from "zod";
import { openDevice } from "../core/device.ts";
import type { Profile } from "../core/profile.ts";
import { readSettings, type Setting, settingsOf } from "../settings/settings.ts";
import { readyForJson } from "../files/json_number.ts";
import { chromeTrace, showDearest } from "../core/trace.ts";
import { stepsPerEpoch } from "../data/batches.ts";
import { holdOut } from "../data/held_out.ts";
import { openDataset } from "../data/registry.ts";
import { checkIdentity, readCheckpoint } from "../training/checkpoint.ts";
import { type Config, configSettings } from "../training/config.ts";
import { constructObjective, totalSteps } from "../training/construct.ts";
import { type Communicator, isAnyRank } from "../training/distributed/communicator.ts";
import { awaitTurnToFail } from "../training/distributed/mpi.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import { identityOf } from "../training/identity.ts";
import { openRun } from "../training/open_run.ts";
import { flatSettings } from "../training/flat_settings.ts";
import { checkOut, flagsBesideFile } from "../training/origins.ts";
import { DEFAULT_PRESET, PRESETS } from "../training/presets.ts";
import { resolveConfig, resolveUnchecked } from "../training/resolve.ts";
import { ReadOnlyRunFolder } from "../training/read_only_run_folder.ts";
import { RunFolder } from "../training/run_folder.ts";
import { quoteShell } from "../studies/launchers/shell.ts";
import { train } from "../training/trainer.ts";
import { taskCall } from "./call.ts";
import { readConfigFile } from "./config_file.ts";
import { asInput, asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { INTERRUPTED, Interruption } from "./interruption.ts";
import { jsonOption } from "./json_option.ts";
import { peakMemoryBytes, showEvaluation, showMeasurements, showTracePath } from "./measured.ts";
import type { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { openRanks, outputOf, placeOf, RANK_OPTIONS } from "./ranks.ts";
import { shareConfig } from "./train_ranks.ts";

const OPTIONS = z.strictObject({
  config: z.string().min(1).nullable().default(null)
    .describe("a JSON file of settings; they override the preset, and flags override them"),
  resume: z.boolean().default(false).describe("continues the run in the folder"),
  overwrite: z.boolean().default(false).describe("replaces the run in the folder"),
  profile: z.boolean().default(false)
    .describe("times the kernels of one early step: prints the slowest, and writes trace.json"),
  open: z.boolean().default(false)
    .describe("evaluates the finished run, and opens its report; needs --allow-run"),
  ...RANK_OPTIONS,
  json: jsonOption("the summary"),
});

type Options = z.output<typeof OPTIONS>;

const DEFAULTS = resolveConfig();

const COMMAND: Command = {
  call: taskCall("train"),
  summary: "Trains a model and writes config.json, metrics.jsonl, checkpoints/, samples/ and " +
    "summary.json to the run's folder. Ctrl-C stops with a checkpoint.",
  operands: [],
  options: settingsOf(OPTIONS),
  settings: configSettings().map(presetDefault),
};

/** A setting with its default from the default preset. */
function presetDefault(setting: Setting): Setting {
  const value: unknown = setting.path.split(".").reduce(
    (section: unknown, name) => (section as Record<string, unknown> | undefined)?.[name],
    DEFAULTS,
  );
  return { ...setting, default: value === undefined ? setting.default : value };
}

const PRESET_NOTES = [...PRESETS].map(([name, settings]) =>
  `Preset ${name}${name === DEFAULT_PRESET ? " (the default)" : ""}: ${
    flatSettings(settings).map(([path, value]) => `--${path} ${value ?? "none"}`).join(" ")
  }`
);

/** What every process does before and after the training. */
export interface Around {
  /** Called before the run's folder is read. It has the same result in all processes: false if there is nothing to
   * train. */
  begin(communicator: Communicator): Promise<boolean>;
  /** Called at the end if the run is finished. It returns the exit code. */
  end(communicator: Communicator): Promise<number>;
}

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 * @param around by default nothing
 */
export async function main(args: readonly string[], around: Partial<Around> = {}): Promise<number> {
  try {
    return await run(args, around);
  } catch (error) {
    awaitTurnToFail();
    throw error;
  }
}

async function run(args: readonly string[], around: Partial<Around>): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help, { presets: PRESET_NOTES }));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  if (options.open && options.json) {
    throw new UsageError("Cannot train: --open and --json must not be given together, got both");
  }
  const config = await configure(options, line.settings);
  const communicator = openRanks(options, line.options);
  const { begin = () => Promise.resolve(true), end } = around;
  const trained = await begin(communicator) ? await trainOver(communicator, config, options) : 0;
  const code = trained === 0 ? await end?.(communicator) ?? 0 : trained;
  const last = options.open && code === 0 ? await openReport(config, communicator) : code;
  communicator[Symbol.dispose](); // Not after an error: that is to be told, and ends the other processes.
  return last;
}

/** Trains with all processes, and returns the exit code. */
async function trainOver(
  communicator: Communicator,
  config: Config,
  options: Options,
): Promise<number> {
  const { out } = config;
  const folder = communicator.rank === 0 ? new RunFolder(out) : new ReadOnlyRunFolder(out);
  const output = outputOf(communicator, options);
  const shared = shareConfig(config, communicator);
  await checkFolder(folder, options);
  const code = await trainInto(folder, config, { ...options, shared, communicator, output });
  communicator.barrier("for the summary", Infinity);
  return code;
}

/** Evaluates a finished run, opens its report, and returns the exit code. */
async function openReport(config: Config, communicator: Communicator): Promise<number> {
  // A computed specifier, so that Deno does not fetch its packages for every run.
  const module = new URL("evaluate.ts", import.meta.url).href;
  const { main: evaluate } = await import(module) as typeof import("./evaluate.ts");
  const flags = flagsBesideFile(config).filter((flag) => !flag.startsWith("--objective."));
  return await evaluate([config.out, "--open", "--device", config.device, ...flags], communicator);
}

/** The resources for computing a run. */
interface Means extends Options {
  /** The configuration for this process. */
  readonly shared: Config;
  /** The processes. */
  readonly communicator: Communicator;
  /** The output of this process. */
  readonly output: Output;
}

/** Trains. All checks come first; the folder is changed only afterwards. */
async function trainInto(folder: RunFolder, config: Config, means: Means): Promise<number> {
  const { seed, data, training } = config;
  const { shared, communicator, output, ...options } = means;
  const metrics = training.metrics === null ? undefined : await openMetrics(training.metrics);
  let progress: Progress | undefined;
  using interruption = new Interruption(() => {
    progress?.clear();
    const next = progress === undefined ? "before the first step" : "after this step";
    output.say(`stopping ${next}; press Ctrl-C again to stop at once, without a checkpoint`);
  });
  const opened = await openDataset(data, { onMessage: (message) => output.say(message) });
  const { training: dataset, validation } = training.validation === 0
    ? { training: opened, validation: undefined }
    : asUsage(() => holdOut(opened, training.validation, seed));
  const steps = totalSteps(config, dataset);
  const { threads, blas, dnn } = shared.cpu;
  using device = await openDevice(shared.device, {
    threads: threads ?? undefined,
    blas,
    dnn,
    precision: config.precision,
  });
  using stage1 = config.stage1 === null ? undefined : await openRun(config.stage1, device);
  using objective = await asInput(() => constructObjective(config, device, dataset, stage1?.model));
  const identity = {
    ...identityOf(config),
    ...stage1 && { stage1: stage1.identity },
  };
  const resume = options.resume && !await folder.isUntouched();
  if (resume) await checkResumable(folder, identity, steps);

  const parameters = objective.model.parameters().reduce((sum, { size }) => sum + size, 0);
  const place = placeOf(device, communicator);
  output.say(`training on ${place} into ${folder.path}`);
  output.say(`the model has ${parameters.toLocaleString("en")} parameters`);
  communicator.barrier("for the images", Infinity);
  if (isAnyRank(communicator, interruption.signal.aborted, "to stop")) {
    output.result({ finished: false, steps: 0, out: folder.path }, [
      "stopped before the first step; nothing was written",
    ]);
    return INTERRUPTED;
  }
  const shown = progress = new Progress(output, {
    epochs: Math.ceil(steps / stepsPerEpoch(dataset, training.batchSize)),
    batchSize: training.batchSize,
  });
  using _lock = await folder.lock();
  if (communicator.rank === 0) await checkFolder(folder, options); // Another run may have been started there since.
  if (options.overwrite) await folder.clear();
  await folder.writeConfig(config);
  const trained = await train({
    ...training,
    heldOut: validation,
    maxSteps: training.maxSteps ?? undefined,
    device,
    objective,
    dataset,
    seed,
    folder,
    identity,
    resume,
    signal: interruption.signal,
    communicator,
    onGap: (recorded, step) => {
      shown.clear();
      output.say(
        `the recorded metrics end at step ${recorded}, but the checkpoint is from step ${step}: the machine was interrupted ` +
          "in between; metrics.jsonl marks the gap",
      );
    },
    onMessage: (message) => output.say(message),
    onProgress: (now) => shown.step(now),
    onEpoch: (summary) => shown.epoch(summary),
    onProfile: options.profile
      ? async (taken: Profile) => {
        shown.clear();
        output.say(showDearest(taken));
        output.say(showTracePath(await folder.writeTrace(chromeTrace([taken]))));
      }
      : undefined,
  });
  shown.clear();
  if (trained.test === undefined) {
    const words = ["--out", folder.path, "--resume", ...flagsBesideFile(config)];
    output.result({ finished: false, steps: trained.steps, out: folder.path }, [
      `stopped after step ${trained.steps} of ${steps}; continue with ` +
      `\`${taskCall("train")} ${words.map(quoteShell).join(" ")}\``,
    ]);
    return INTERRUPTED;
  }

  const { test, best, imagesPerSecond } = trained;
  communicator.barrier("for the weights", Infinity);
  const replicas = replicasOver(communicator, device);
  const besides = await metrics?.measure(config, device, dataset, folder, replicas);
  const summary = {
    preset: config.preset,
    seed,
    steps: trained.steps,
    device: place,
    test: { ...test.numbers, protocol: test.protocol },
    best: best === null ? null : { ...best, protocol: test.protocol },
    imagesPerSecond,
    parameters,
    peakMemoryBytes: peakMemoryBytes(),
    protocols: test.protocols,
    ...readyForJson(besides ?? {}) as typeof besides,
  };
  await folder.writeSummary(summary);
  output.result(summary, [
    ...showEvaluation(test),
    ...besides === undefined ? [] : showMeasurements(besides),
    imagesPerSecond === null
      ? "speed        not measured: no step was left to take"
      : `speed        ${imagesPerSecond.toFixed(0)} images/s on ${place}`,
    `peak memory  ${(summary.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`,
    `the run is in ${folder.path}; its sample images are in ${join(folder.path, "samples")}`,
    ...options.open ? [] : [
      `next: \`${taskCall("evaluate")} ${
        quoteShell(folder.path)
      } --open\` measures it and opens its report`,
    ],
  ]);
  return 0;
}

/** Loads the metrics for the finished run. Runs without metrics do not load the networks.
 * @throws {UsageError} a metric is unknown
 */
async function openMetrics(names: string) {
  // A computed specifier, so that Deno does not fetch its packages for every run.
  const module = new URL("final_metrics.ts", import.meta.url).href;
  const { FinalMetrics } = await import(module) as typeof import("./final_metrics.ts");
  return asUsage(() => new FinalMetrics(names));
}

/** The configuration of the command line. For a resumed run, it overrides the saved configuration, whose folder is the
 * one in which it was found. */
async function configure(
  { config: path, resume, overwrite }: Options,
  flags: Readonly<Record<string, unknown>>,
) {
  if (resume && overwrite) {
    throw new UsageError(
      "Cannot train: --resume and --overwrite must not be given together, got both",
    );
  }
  const file = path === null ? undefined : await readConfigFile(path);
  const fresh = () => asUsage(() => resolveUnchecked({ file, flags }));
  // A resumed run may be of another kind than these settings alone would give.
  const named = flags.out ?? file?.out;
  const out = resume && typeof named === "string" ? named : fresh().out;
  if (file?.out !== undefined && flags.out === undefined) asUsage(() => checkOut(out));
  const folder = new RunFolder(out);
  if (!resume || await folder.state() === "empty") return fresh();
  const saved = await folder.readConfig();
  return asUsage((): Config => ({ ...resolveUnchecked({ saved, file, flags }), out }));
}

/** Rejects resuming from a checkpoint of another configuration, or if no step is left. A run that was killed between
 * its last checkpoint and its summary still needs its evaluation. */
async function checkResumable(
  folder: RunFolder,
  identity: Readonly<Record<string, unknown>>,
  steps: number,
): Promise<void> {
  const path = folder.checkpoint("last");
  const checkpoint = await readCheckpoint(path);
  checkIdentity(path, checkpoint.identity, identity);
  const taken = checkpoint.state.get("step")?.values[0] ?? 0;
  if (taken > steps || taken === steps && await folder.state() === "finished") {
    throw new Error(
      `Cannot resume ${folder.path}: the run must have more steps than it has taken, ${taken}, ` +
        `got ${steps}; a larger --training.epochs or --training.maxSteps trains it for longer`,
    );
  }
}

/** Rejects mixing two runs in one folder, and resuming a run that does not exist. */
async function checkFolder(folder: RunFolder, { resume, overwrite }: Options): Promise<void> {
  const state = await folder.state();
  if (resume && state === "empty") {
    throw new Error(
      `Cannot resume ${folder.path}: the folder must hold a run, got none; leave out --resume to start a new run`,
    );
  }
  if (!resume && !overwrite && state !== "empty") {
    throw new Error(
      `Cannot train into ${folder.path}: the folder must hold no run, got one that is ${state}; ` +
        `--resume continues it, --overwrite replaces it, --out chooses another folder`,
    );
  }
}

if (import.meta.main) await runTask(() => main(Deno.args));
