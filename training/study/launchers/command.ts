/** The command that computes a run of a study, wherever it is called. */

/** The task that trains a run that was launched, in this project. */
const TRAIN = "tasks/train_launched.ts";

/** The words before a run's folder, on machines that have this project and this Deno where they are here. */
export function trainCommand(): readonly string[] {
  return [Deno.execPath(), "run", "-A", import.meta.resolve(`../../../${TRAIN}`)];
}

/** The task's file, where the project lies in another folder. */
export function trainFile(project: string): string {
  return `${project}/${TRAIN}`;
}
