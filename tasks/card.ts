/** Writes a model card, so that a run can be shared.
 *
 *     deno task card runs/digits --out handed-on/digits
 */
import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import * as z from "zod";
import { openDevice } from "../core/device.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { drawModelCard } from "../reports/model_card.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { withoutPlaces } from "../training/identity.ts";
import { writeModelFolder } from "../training/model_folder.ts";
import { openRun } from "../training/open_run.ts";
import { readEvaluation, readSummary } from "../training/run_files.ts";
import { RunFolder } from "../training/run_folder.ts";
import { taskCall } from "./call.ts";
import { asInput, asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { jsonOption } from "./json_option.ts";
import { Output } from "./output.ts";
import { WEIGHTS_OPTIONS } from "./weights_options.ts";

const OPTIONS = z.strictObject({
  out: z.string().min(1).nullable().default(null).describe(
    "a new folder for config.json, model.safetensors, README.md and samples.png; none: only README.md, in the run's folder",
  ),
  name: z.string().min(1).nullable().default(null)
    .describe("the name of the model; none: that of its folder"),
  license: z.string().min(1).nullable().default(null)
    .describe(
      "the SPDX identifier of the weights' licence, such as mit; none: the card names no licence",
    ),
  ...WEIGHTS_OPTIONS,
  json: jsonOption("the summary"),
});

const COMMAND: Command = {
  call: taskCall("card"),
  summary:
    "Writes the model card of a trained first stage: a README.md with the metadata that hubs of models read, numbers " +
    "with their protocols, and how to open the model. With --out, the new folder can be uploaded unchanged. It names no folder " +
    "of this machine, and is a run for encode, decode and openRun.",
  operands: [{ name: "RUN", description: "the run's folder, such as runs/digits" }],
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
  const { out, license, json, checkpoint, weights } = options;
  const { RUN: path } = line.operands;
  if (out !== null) await checkNew(out);
  using device = await openDevice("reference");
  using run = await asInput(() => openRun(path, device, { checkpoint, weights }));
  const summary = await readSummary(path), evaluated = await readEvaluation(path) ?? [];
  const picture = out === null
    ? await new RunFolder(path).lastPicture()
    : await writeModelFolder(path, run, out);
  const name = options.name ?? basename(resolve(path));
  const { identity, model } = run, config = withoutPlaces(run.config);
  const card = join(out ?? path, "README.md");
  await writeAtomically(
    card,
    drawModelCard({ name, config, model, identity, summary, evaluated, picture, license }),
  );
  new Output(json).result({ card, name, identity, folder: out ?? path }, [
    ...license === null ? ["the card names no licence; --license adds one"] : [],
    `the card is ${card}`,
  ]);
  return 0;
}

/** Rejects a folder that is not empty, because its contents would be uploaded too. */
async function checkNew(out: string): Promise<void> {
  const names = await readdir(out).catch(() => []);
  if (names.length === 0) return;
  throw new UsageError(
    `Cannot write a model into ${out}: the folder must be new or empty, got one that holds ${
      names[0]
    }`,
  );
}

if (import.meta.main) await runTask(() => main(Deno.args));
