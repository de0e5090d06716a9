/** The command line of the package: every task by its name.
 *
 * ```sh
 * deno run -A jsr:@codebook/codebook/cli train --training.epochs 2
 * deno install -gA -n codebook jsr:@codebook/codebook/cli     # then: codebook train
 * ```
 * @module
 */
import { suggestName } from "./settings/nearest_name.ts";
import { runTask, UsageError } from "./tasks/fail.ts";

/** Each task, a module of the folder `tasks` with a function `main`, and what it does. */
const TASKS: ReadonlyMap<string, string> = new Map([
  ["train", "trains a model and leaves a run's folder"],
  ["evaluate", "measures a run, or two folders of images, and writes a report"],
  ["sample", "makes images with a trained generator"],
  ["encode", "turns images into the codes of a run"],
  ["decode", "turns codes back into images"],
  ["reconstruct", "shows images beside what a run makes of them"],
  ["import", "makes a run of published weights"],
  ["export", "writes a run as other libraries load it"],
  ["compare", "puts runs side by side on one page"],
  ["card", "writes a model card, so that a run can be uploaded"],
  ["ablate", "runs a study: many runs that differ in a few settings, in one table"],
  ["doctor", "says which devices this machine has, and what to install"],
  ["bench", "measures how fast this machine is"],
  ["tune", "finds the fastest tilings of this GPU and keeps them"],
]);

const HELP = `codebook TASK [flags]

Trains, measures and compares vector-quantised models.

Tasks:
${[...TASKS].map(([name, deed]) => `  ${name.padEnd(13)}${deed}`).join("\n")}

  codebook TASK --help   prints the flags of a task
  codebook --version     prints the version
  codebook --help        prints this`;

/** Runs what a command line asks for and gives the exit code. */
async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h") {
    console.log(HELP);
    return name === undefined ? 2 : 0;
  }
  if (!TASKS.has(name)) {
    throw new UsageError(
      `Cannot run a task: the first word must name one, got ${name}, ${
        suggestName(name, [...TASKS.keys()])
      }`,
    );
  }
  // A computed address: Deno would fetch what all tasks need before one of them starts.
  const task = await import(new URL(`./tasks/${name}.ts`, import.meta.url).href) as {
    readonly main: (args: readonly string[]) => Promise<number>;
  };
  return await task.main(rest);
}

if (import.meta.main) await runTask(() => main(Deno.args));
