/** The command that computes a run of a study, wherever it is called. */
import { resolve } from "node:path";
import { lockFlags } from "../lock_file.ts";
import { launchPermissions } from "../run_permissions.ts";

/** The task that trains a run that was launched, in this project. */
const TRAIN = "tasks/train_launched.ts";

/** The words before a run's folder, on machines that have this project and this Deno where they are here.
 * @param out the study's folder, in which it may write
 */
export function trainCommand(out: string): readonly string[] {
  const task = import.meta.resolve(`../../${TRAIN}`);
  return [Deno.execPath(), "run", ...lockFlags(), ...launchPermissions(resolve(out)), task];
}

/** The task's file, where the project lies in another folder. */
export function trainFile(project: string): string {
  return `${project}/${TRAIN}`;
}
