/** `deno task ablate collect`: collects the results of a study that was launched elsewhere. */
import { join } from "node:path";
import * as z from "zod";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { collectStudy } from "../studies/collect_study.ts";
import { printable } from "../training/printable.ts";
import { showDamage } from "../studies/damage.ts";
import { showRun } from "../studies/plan.ts";
import type { StudyRun } from "../studies/records.ts";
import { showMarkdown } from "../studies/tables.ts";
import { taskCall } from "./call.ts";
import { asInput, asUsage } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { jsonOption } from "./json_option.ts";
import { openPage } from "./open_page.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  open: z.boolean().default(false).describe("opens study.html at the end"),
  json: jsonOption("the runs"),
});

const COMMAND: Command = {
  call: taskCall("ablate collect"),
  summary:
    "Reads the runs of a study, wherever they were computed, reports the state of each, and writes " +
    "study.html, study.md, study.csv and study.jsonl. Damaged files are named, and the rest is shown. The " +
    "exit code is 0 if all runs are finished, otherwise 1.",
  operands: [{
    name: "DIR",
    description: "the study's folder, or a copy of it with all or some of its runs",
  }],
  options: settingsOf(OPTIONS),
  settings: [],
};

/** The descriptions of runs without a result. */
const WITHOUT_RESULT: readonly (readonly [StudyRun["state"], string])[] = [
  ["waiting", "missing, it has not begun or is not here"],
  ["started", "started, it is being trained or was stopped"],
  ["failed", "failed"],
];

/** Collects a study, and returns the exit code.
 * @param args the command line arguments
 */
export async function collect(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const { json, open } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  const { DIR } = line.operands;
  const collected = await asInput(() => collectStudy(DIR));
  const { study, damage, stage1 } = collected;
  const records = [...stage1?.records ?? [], ...collected.records];
  const output = new Output(json);
  output.result({
    study: study.name,
    out: DIR,
    runs: records,
    damage: damage.map(showDamage),
  }, [
    ...stage1 === undefined ? [] : [showMarkdown(stage1.study, stage1.records)],
    showMarkdown(study, collected.records),
    ...WITHOUT_RESULT.flatMap(([state, words]) =>
      records.filter((run) => run.state === state).map((run) => `${showRun(run)}: ${words}`)
    ),
    ...damage.map(showDamage),
    showCounts(records, DIR),
  ]);
  if (open) await openPage(join(DIR, "study.html"), output);
  return records.every(({ state }) => state === "finished") ? 0 : 1;
}

/** Describes how many runs are finished. */
export function showCounts(records: readonly StudyRun[], out: string): string {
  const count = (state: StudyRun["state"]) => records.filter((run) => run.state === state).length;
  const damaged = count("damaged") === 0 ? "" : `, ${count("damaged")} damaged`;
  return `${count("finished")} of ${records.length} runs are finished, ${
    count("failed")
  } failed${damaged}; all is in ${printable(out)}`;
}
