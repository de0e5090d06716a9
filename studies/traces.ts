/** The data of a study's runs besides their measurements. */
import type { RecordedProtocol } from "../objectives/protocol.ts";
import { DamagedFileError } from "../training/read_back.ts";
import type { RunRecord } from "../training/run_record.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readSummary } from "../training/run_files.ts";
import type { Samples } from "../objectives/sample_grid.ts";
import { readJudgement, readJudging } from "./judging.ts";
import type { StudyRun } from "./records.ts";

/** The data of a finished run: from its last evaluation and from its training. */
export interface RunTrace {
  /** The records of its training. */
  readonly records: readonly RunRecord[];
  /** Test images and their reconstructions; null if its folder has none. */
  readonly samples: Samples | null;
  /** How often each code was chosen on the test images, `[K]`; null if its folder does not have this. */
  readonly counts: readonly number[] | null;
  /** The protocol of its measurements. */
  readonly protocol: RecordedProtocol;
  /** The files that cannot be read, with the reasons. Their contents are missing above. */
  readonly damage: readonly string[];
}

/** Reads the data of a finished run from the files that are readable. For a generator it reads only the protocol,
 * because losses and pictures of different kinds of generators are not comparable.
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
