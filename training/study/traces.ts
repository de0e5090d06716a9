/** What the runs of a study left besides their numbers. */
import { join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../json_file.ts";
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
  /** What could not be read of the rest, in words that name the file. */
  readonly damage: readonly string[];
}

/** The protocols of `summary.json`. */
const PROTOCOLS = z.object({
  protocols: z.record(
    z.string(),
    z.looseObject({
      dataset: z.string(),
      split: z.enum(["train", "test"]),
      images: z.int().min(1),
      imageShape: z.tuple([z.int().min(1), z.int().min(1), z.int().min(1)]),
      valueRange: z.tuple([z.number(), z.number()]),
      metrics: z.object({
        mse: z.string(),
        psnr: z.string(),
        usage: z.string(),
        perplexity: z.string(),
      }),
    }),
  ),
});

/** Reads what a finished run left.
 * @throws {Error} its summary cannot be read
 */
export async function readTrace({ folder, protocol }: StudyRun): Promise<RunTrace> {
  const run = new RunFolder(folder);
  const path = join(folder, "summary.json");
  const { protocols } = await readJsonFile(path, PROTOCOLS);
  const measured = protocols[protocol ?? ""];
  if (measured === undefined) {
    throw new Error(`Cannot read ${path}: it must hold the protocol of its numbers, got none`);
  }
  const damage: string[] = [];
  const intact = async <T>(reading: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await reading;
    } catch (error) {
      damage.push((error as Error).message);
      return otherwise;
    }
  };
  return {
    records: await intact(run.records(), []),
    samples: await intact(run.lastSamples(measured.images, measured.imageShape), null),
    counts: await intact(run.counts(), null),
    protocol: measured,
    damage,
  };
}
