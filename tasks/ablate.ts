/** Runs a study: many runs that differ in a few settings, compared in one table.
 *
 *     deno task ablate quantizers --scale smoke
 *     deno task ablate quantizers --launcher slurm
 *     deno task ablate collect runs/quantizers-small
 */
import { join } from "node:path";
import * as z from "zod";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { configSettings } from "../training/config.ts";
import { printable } from "../training/printable.ts";
import { showDamage } from "../studies/damage.ts";
import { LocalLauncher, type StudyEvent } from "../studies/launchers/local.ts";
import { planRuns, showRun, stage1Options } from "../studies/plan.ts";
import { readRecord, type StudyRun } from "../studies/records.ts";
import { type LaunchedStudy, type LaunchOptions, launchStudy } from "../studies/run_study.ts";
import { SCALES, type Study } from "../studies/study.ts";
import { showMarkdown } from "../studies/tables.ts";
import { collect, showCounts } from "./collect.ts";
import { taskCall } from "./call.ts";
import { asInput, asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, nest, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { INTERRUPTED, Interruption } from "./interruption.ts";
import { jsonOption } from "./json_option.ts";
import { LAUNCH_OPTIONS, remoteLauncher } from "./launch_options.ts";
import { Output } from "./output.ts";
import { openPage } from "./open_page.ts";
import { openStudy, STUDIES } from "./studies/registry.ts";
import { StudyProgress } from "./study_progress.ts";

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null)
    .describe("the study's folder; none: runs/<study>-<scale>"),
  scale: z.enum(SCALES).nullable().default(null)
    .describe("the size of the study; none: small, if the study has that"),
  ...LAUNCH_OPTIONS,
  retry: z.boolean().default(false).describe("runs failed runs again"),
  "dry-run": z.boolean().default(false).describe("prints what would be run, and writes nothing"),
  open: z.boolean().default(false).describe("opens study.html at the end"),
  json: jsonOption("the runs"),
});

const COMMAND: Command = {
  call: taskCall("ablate"),
  summary: "Runs every combination of a study's axes with every seed, each run a process of its " +
    "own, and writes study.html, study.md, study.csv, study.jsonl and runs/ to the study's folder. The same command " +
    "continues a study that was stopped. The axes override the settings below. To gather runs that were computed " +
    `elsewhere, use \`${taskCall("ablate collect")} DIR\`.`,
  operands: [{
    name: "STUDY",
    description: `a .ts or .json file, or one of ${STUDIES.map(({ name }) => name).join(", ")}`,
  }],
  options: settingsOf(OPTIONS),
  settings: configSettings().filter(({ path }) => path !== "out" && path !== "seed"),
};

const STUDY_NOTES = STUDIES.map(({ name, about }) => `Study ${name}: ${about}`);

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "collect") return await collect(args.slice(1));
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help, { studies: STUDY_NOTES }));
    return 0;
  }
  const given = nest(Object.entries(line.options));
  const options = asUsage(() => readSettings(OPTIONS, given, "read the command line"));
  if (options.open && (options.launcher !== "local" || options["dry-run"])) {
    throw new UsageError(
      "Cannot run a study: --open must be given with --launcher local and without --dry-run, got " +
        (options["dry-run"] ? "--dry-run" : `--launcher ${options.launcher}`),
    );
  }
  const study = await asInput(() => openStudy(line.operands.STUDY));
  const scale = options.scale ?? (study.scales?.small === undefined ? undefined : "small");
  const out = options.out ?? `runs/${[study.name, scale ?? []].flat().join("-")}`;
  const place: LaunchOptions = { out, scale, settings: line.settings, retry: options.retry };
  const remote = asUsage(() => remoteLauncher(options, given, out));
  const above = await asInput(() => planRuns(study, place));
  const below = study.stage1 && await asInput(() => planRuns(study.stage1!, stage1Options(place)));
  const runs = [...below ?? [], ...above];
  const output = new Output(options.json);
  if (options["dry-run"]) {
    const records = await Promise.all(runs.map(readRecord));
    output.result({ study: study.name, out, runs: records }, showPlan(records));
    return 0;
  }
  if (remote !== undefined) {
    if (remote.check !== undefined) asUsage(() => remote.check!(study));
    const launched = await asInput(() => launchStudy(study, remote, place));
    const { next, damage } = launched, records = allRecords(launched);
    output.result({ study: study.name, out, runs: records, next }, next);
    for (const line of [...damage.map(showDamage), showCounts(records, out)]) {
      console.error(printable(line));
    }
    return 0;
  }
  output.say(`${study.name}: ${runs.length} runs into ${out}`);
  const progress = new StudyProgress(output, runs);
  using interruption = new Interruption(() => {
    progress.clear();
    output.say("stopping after the current steps; press Ctrl-C again to stop at once");
  });
  const { signal } = interruption;
  const onEvent = (event: StudyEvent) => progress.hear(event);
  const local = new LocalLauncher({ jobs: options.jobs ?? undefined, signal, onEvent });
  const code = finish(study, out, await launchStudy(study, local, place), output);
  const page = join(out, "study.html");
  if (options.open) await openPage(page, output);
  else output.say(`next: open ${page} in a browser, or give --open`);
  return code;
}

/** Reports the results, and returns the exit code. */
function finish(
  study: Study,
  out: string,
  launched: LaunchedStudy,
  output: Output,
): number {
  const { damage, stage1 } = launched, records = allRecords(launched);
  const isFailed = ({ state }: StudyRun) => state === "failed" || state === "damaged";
  const failed = records.some(isFailed);
  // Runs whose first stage failed wait for that stage, not for this command.
  const stopped = !stage1?.records.some(isFailed) &&
    records.some(({ state }) => state === "waiting" || state === "started");
  output.result({ study: study.name, out, runs: records }, [
    "",
    ...stage1 === undefined ? [] : [showMarkdown(study.stage1!, stage1.records)],
    showMarkdown(study, launched.records),
    ...[...stage1?.damage ?? [], ...damage].map(showDamage),
    ...launched.next,
    showCounts(records, out),
    ...stopped ? ["run the same command again to continue"] : [],
    ...records.some(({ state }) => state === "failed")
      ? ["--retry runs the failed ones again"]
      : [],
  ]);
  if (stopped) return INTERRUPTED;
  return failed ? 1 : 0;
}

/** The records of the first stages, then of the runs that use them. */
function allRecords({ records, stage1 }: LaunchedStudy): readonly StudyRun[] {
  return [...stage1?.records ?? [], ...records];
}

function showPlan(records: readonly StudyRun[]): string[] {
  return records.map((run) => `${run.hash}  ${run.state.padEnd(8)}  ${showRun(run)}`);
}

if (import.meta.main) await runTask(() => main(Deno.args));
