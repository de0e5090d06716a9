/** What the runs of a study left besides their numbers. */
import type { RecordedProtocol } from "../objectives/protocol.ts";
import { DamagedFileError } from "../training/read_back.ts";
import type { RunRecord } from "../training/run_record.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readSummary } from "../training/run_files.ts";
import type { Samples } from "../objectives/sample_grid.ts";
import { readJudgement, readJudging } from "./judging.ts";
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
  readonly protocol: RecordedProtocol;
  /** Which of its files cannot be read, and why; what they hold is missing above. */
  readonly damage: readonly string[];
}

/** Reads what a finished run left, as far as its files can be read; of a generator the protocol alone, since losses and
 * pictures of different sorts of generators do not compare.
 * @throws {Error} its summary cannot be read
 */
export async function readTrace({ folder, protocol }: StudyRun): Promise<RunTrace> {
  const run = new RunFolder(folder);
  if (await readJudging(folder) !== undefined) {
    const { protocol } = (await readJudgement(folder))!; // It is finished.
    return { records: [], samples: null, counts: null, protocol, damage: [] };
  }
  const { protocols = {} } = await readSummary(folder) ?? {};
  const measured = protocols[protocol ?? ""];
  if (measured === undefined) {
    throw new Error(
      `Cannot read ${folder}: its summary must have the protocol ${protocol}, got none`,
    );
  }
  const [height, width, channels] = measured.imageShape;
  const damage: string[] = [];
  const unless = async <T>(reading: Promise<T>, none: T): Promise<T> => {
    try {
      return await reading;
    } catch (cause) {
      if (!(cause instanceof DamagedFileError)) throw cause;
      damage.push(cause.message);
      return none;
    }
  };
  return {
    records: await unless(run.records(), []),
    samples: await unless(run.lastSamples(measured.images, [height, width, channels]), null),
    counts: await unless(run.counts(), null),
    protocol: measured,
    damage,
  };
}
