/** What the runs of a study left besides their numbers. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../core/bounded_json.ts";
import type { EvaluationProtocol } from "../protocol.ts";
import type { RunRecord } from "../report/curves.ts";
import { RunFolder } from "../run_folder.ts";
import type { Samples } from "../sample_grid.ts";
import type { StudyRun } from "./records.ts";

/** What a finished run left: of its last evaluation, and of the way there. */
export interface RunTrace {
  /** What it recorded as it trained. */
  readonly records: readonly RunRecord[];
  /** Test images and their reconstructions; none where its folder keeps none. */
  readonly samples: Samples | null;
  /** How often each code was chosen over the test images, `[K]`; none where its folder does not tell. */
  readonly counts: readonly number[] | null;
  /** How its numbers were measured. */
  readonly protocol: EvaluationProtocol;
}

/** Reads what a finished run left.
 * @throws {Error} a file cannot be read
 */
export async function readTrace({ folder, protocol }: StudyRun): Promise<RunTrace> {
  const run = new RunFolder(folder);
  const path = join(folder, "summary.json");
  const summary: { readonly protocols: Readonly<Record<string, EvaluationProtocol>> } = parseJson(
    await readFile(path, "utf8"),
    path,
  );
  const measured = summary.protocols[protocol ?? ""];
  const [height, width, channels] = measured.imageShape;
  return {
    records: await run.records(),
    samples: await run.lastSamples(measured.images, [height, width, channels]),
    counts: await run.counts(),
    protocol: measured,
  };
}
