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
  ["train", "trains a model and writes a run's folder"],
  ["evaluate", "measures a run, or two folders of images, and writes a report"],
  ["sample", "generates images with a trained generator"],
  ["encode", "encodes images to the codes of a run"],
  ["decode", "decodes codes to images"],
  ["reconstruct", "shows images beside their reconstructions by a run"],
  ["import", "creates a run from published weights"],
  ["export", "exports a run for other libraries"],
  ["compare", "compares runs on one page"],
  ["card", "writes a model card, so that a run can be uploaded"],
  ["ablate", "runs a study: many runs that differ in a few settings, in one table"],
  ["doctor", "reports which devices this machine has, and what to install"],
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

/** Runs the task of a command line and returns the exit code. */
async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h") {
    console.log(HELP);
    return name === undefined ? 2 : 0;
  }
  if (!TASKS.has(name)) {
    throw new UsageError(
      `Cannot run a task: the first word must name a task, got ${name}, ${
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
