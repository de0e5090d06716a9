/** Collects the results of a study. */
import type { Damage } from "./damage.ts";
import { stage1Options } from "./plan.ts";
import { readRecord, type StudyRun } from "./records.ts";
import type { Study } from "./study.ts";
import { StudyFolder } from "./study_folder.ts";

/** A study and the records of its runs. */
export interface CollectedStudy {
  /** The study. */
  readonly study: Study;
  /** The record of every run. */
  readonly records: readonly StudyRun[];
  /** The files that could not be read. The other files of such a run are still used. */
  readonly damage: readonly Damage[];
  /** The same for its first stages. */
  readonly stage1?: CollectedStudy;
}

/** Reads all runs of a study, independent of where they were computed, and writes `study.jsonl`, `study.csv`,
 * `study.md` and `study.html` to its folder. The folder may be a copy, and may have only some of the runs.
 *
 * ```ts
 * import { collectStudy, launchStudy, PrintLauncher } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [8, 16] }] };
 * await launchStudy(study, new PrintLauncher(), { out });
 * const { records } = await collectStudy(out);
 * assert.deepEqual(records.map(({ state }) => state), ["waiting", "waiting"]);
 * await Deno.remove(out, { recursive: true });
 * ```
 * @param path the study's folder
 * @throws {RangeError} it is not a study's folder
 * @throws {Error} a file cannot be written
 */
export async function collectStudy(path: string): Promise<CollectedStudy> {
  const folder = new StudyFolder(path);
  const { study, runs } = await folder.readPlan();
  const stage1 = study.stage1 && await collectStudy(stage1Options({ out: path }).out);
  const records = await Promise.all(runs.map(readRecord));
  await folder.writeTables(study, records);
  const damage = await folder.writePage(study, records);
  return { study, records, damage, ...stage1 && { stage1 } };
}
