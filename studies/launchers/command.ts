/** The command that computes a run of a study. */
import { resolve } from "node:path";
import { lockFlags } from "../lock_file.ts";
import { launchPermissions } from "../run_permissions.ts";

/** The task that trains a run that was launched, in this project. */
const TRAIN = "tasks/train_launched.ts";

/** The command without the run's folder, for machines that have this project and Deno at the same paths as this one.
 * @param out the study's folder, in which it may write
 */
export function trainCommand(out: string): readonly string[] {
  const task = import.meta.resolve(`../../${TRAIN}`);
  return [Deno.execPath(), "run", ...lockFlags(), ...launchPermissions(resolve(out)), task];
}

/** The path of the task's file if the project is in another folder. */
export function trainFile(project: string): string {
  return `${project}/${TRAIN}`;
}
