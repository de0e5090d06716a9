/** Compares this project with jax-js, TensorFlow.js, ONNX Runtime, OpenBLAS and PyTorch, in one run on one machine.
 *
 *     PYTHON=python3 deno task bench:peers --write
 */
import * as z from "zod";
import { GROUP_NAMES, groupsOf } from "../bench/peers/groups.ts";
import { findingOf, hugeMiB, measuresOf } from "../bench/peers/measures.ts";
import { findPyTorch } from "../bench/peers/pytorch.ts";
import { type Clock, measureGroup, type Samples } from "../bench/peers/rounds.ts";
import {
  describeMachine,
  jsonLines,
  ratioTable,
  sampleTable,
  writeResults,
} from "../bench/peers/tables.ts";
import { findBlas, findDnn } from "../core/device.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";

const OPTIONS = z.strictObject({
  only: z.enum(GROUP_NAMES).nullable().default(null)
    .describe("the only benchmark to run; none: all"),
  rounds: z.int().min(1).default(3).describe("rounds in which all libraries are measured in turn"),
  clock: z.enum(["wall", "processor"]).default("wall").describe(
    "the clock: wall, wall-clock time on all cores; processor, processor time on one thread, for a machine where other programs are running",
  ),
  json: z.boolean().default(false).describe("prints each row as a line of JSON"),
  write: z.boolean().default(false).describe("writes the tables to bench/RESULTS.md"),
});

/** The names of the clocks in the tables. */
const CLOCKS: Readonly<Record<Clock, string>> = {
  wall: "wall-clock time on all cores",
  processor: "processor time on one thread",
};

const COMMAND: Command = {
  call: "deno task bench:peers",
  summary:
    "Compares the speed of this project with jax-js, TensorFlow.js, ONNX Runtime, OpenBLAS and " +
    "PyTorch; uses the python3 of PYTHON or of the PATH.",
  operands: [],
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
  const { only, rounds, clock, json, write } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  const pytorches = await findPyTorch();
  if (pytorches.length === 0) console.error("python3 has no torch; PYTHON may name one that has");
  const machine = await describeMachine(pytorches);
  console.error(machine);
  const groups = groupsOf(pytorches, {
    blas: await findBlas() !== undefined,
    dnn: await findDnn() !== undefined,
  });
  let samples: Samples = new Map();
  for (const name of only === null ? GROUP_NAMES : [only]) {
    const tell = (message: string) => console.error(message);
    const measured = await measureGroup(groups[name], rounds, clock, tell);
    samples = new Map([...samples, ...measured]);
  }
  const findings = measuresOf(pytorches).flatMap((measure) => findingOf(measure, samples) ?? []);
  const text = [
    `${machine}. ${rounds} rounds, ${
      CLOCKS[clock]
    }; milliseconds and MiB are medians over the rounds, in brackets the least.`,
    ratioTable(findings, hugeMiB(samples)),
    sampleTable(samples),
  ].join("\n\n");
  console.log(json ? jsonLines(findings, samples).join("\n") : text);
  if (write) await writeResults(text);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
