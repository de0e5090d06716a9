/** Compares runs on one page.
 *
 *     deno task compare runs/digits runs/fsq --out runs/comparison.html
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { writeAtomically } from "../files/atomic_write.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { damagesOf, showDamage } from "../studies/damage.ts";
import { MEASURES } from "../studies/measures.ts";
import { differingSettings, readComparedRuns } from "../studies/side_by_side.ts";
import { drawSideBySide } from "../studies/side_by_side_page.ts";
import { showMarkdown } from "../studies/tables.ts";
import { taskCall } from "./call.ts";
import { asInput, asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { jsonOption } from "./json_option.ts";
import { openPage } from "./open_page.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  out: z.string().min(1).default("runs/comparison.html").describe(
    "the page to write; it is replaced if it exists",
  ),
  open: z.boolean().default(false).describe("opens the page; needs --allow-run"),
  json: jsonOption("the runs"),
});

const COMMAND: Command = {
  call: taskCall("compare"),
  summary:
    "Compares runs on one page: the settings in which they differ, their test numbers, curves, " +
    "reconstructions of the same images, and how they use their codes. Numbers measured with different " +
    "protocols are shown separately, because they are not comparable.",
  operands: [{
    name: "RUN",
    description: "the folders of two or more runs of first stages, such as runs/digits runs/fsq",
    repeats: true,
  }],
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
  const { out, open, json } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  const runs = await asInput(() => readComparedRuns(line.words));
  await mkdir(dirname(out), { recursive: true });
  await writeAtomically(out, drawSideBySide(runs));
  const records = runs.map(({ record }) => record);
  const traces = new Map(runs.map(({ record, trace }) => [record, trace]));
  const damage = damagesOf(records, (run) => traces.get(run)!).map(showDamage);
  const settings = differingSettings(runs.map(({ config }) => config));
  const study = { name: "Comparison", axes: [], measure: MEASURES };
  const output = new Output(json);
  output.result({ out, settings, runs: records, damage }, [
    showMarkdown(study, records),
    ...settings.map(({ path, values }) => `${path}: ${values.join(" | ")}`),
    ...damage,
    `the page is ${out}`,
  ]);
  if (open) await openPage(out, output);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
