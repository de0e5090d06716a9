/** Runs a study as shell commands, for any other system that runs commands. */
import { resolve } from "node:path";
import { flagsBesideFile } from "../../training/origins.ts";
import { trainCommand } from "./command.ts";
import { type Launcher, type StudyWork, writeConfigs } from "./launcher.ts";
import { quoteShell } from "./shell.ts";

/** Returns one shell command per run, and writes all files that it needs. The commands can be called in any order, in
 * parallel, from any folder, and repeatedly: a run continues from its last checkpoint.
 *
 * ```ts
 * import { launchStudy, PrintLauncher } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [8, 16] }] };
 * const { next } = await launchStudy(study, new PrintLauncher(), { out });
 * assert.equal(next.length, 2);
 * assert.match(next[0], /deno.* run .*train_launched.ts .*runs/);
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export class PrintLauncher implements Launcher {
  /** Writes every run's configuration, and returns the commands. */
  async launch({ runs, out }: StudyWork): Promise<readonly string[]> {
    const commands = runs.map(({ config }) =>
      [...trainCommand(out), resolve(config.out), ...flagsBesideFile(config)]
        .map(quoteShell).join(" ")
    );
    await writeConfigs(runs);
    return commands;
  }
}
