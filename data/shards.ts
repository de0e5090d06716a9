/** Shards of a data set: how they are named on the command line. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { type DatasetSettingsShape, type DecodedSettings, decodedSettings } from "./kind.ts";

/** The settings of every data set that comes in shards. */
export interface StreamedSettings extends Omit<DecodedSettings, "limit"> {
  /** The training shards. */
  readonly train: string | null;
  /** The test shards. */
  readonly test: string | null;
  /** Images of the training shards in an epoch. */
  readonly trainImages: number | null;
  /** Images of the test shards. */
  readonly testImages: number | null;
  /** How many classes the labels beside the images tell apart. */
  readonly classes: number | null;
  /** Images that wait to be drawn. */
  readonly shuffleBuffer: number;
}

/** Their schemas.
 * @param shards what the files are, in words
 * @param unknown where the images are counted, in words
 * @param labelled what the number of classes means, in words
 */
export function streamedSettings(
  shards: string,
  unknown: string,
  labelled: string,
): DatasetSettingsShape<StreamedSettings> {
  const { limit: _, ...decoded } = decodedSettings(256);
  const where = (part: string) =>
    z.string().min(1).nullable().default(null).describe(
      `the ${part} ${shards}: paths, folders or addresses, separated by commas, {000..127} for each of those numbers`,
    );
  const count = (meaning: string) =>
    z.int().min(1).max(2 ** 31 - 1).nullable().default(null)
      .describe(`${meaning}; none: ${unknown}`);
  return {
    ...decoded,
    train: where("training"),
    test: where("test"),
    trainImages: count("images of the training shards in an epoch"),
    testImages: count("images of the test shards that are used, the first"),
    classes: z.int().min(1).max(2 ** 20).nullable().default(null).describe(labelled),
    shuffleBuffer: z.int().min(1).max(1e6).default(1000)
      .describe("encoded images in memory, of which the next training image is drawn"),
  };
}

/** Most shards that a name may stand for. */
const MOST_SHARDS = 1e6;

/** Whether a name is an address on the web. */
export function isAddress(name: string): boolean {
  return /^https?:\/\//.test(name);
}

/** The names that a name with `{first..last}` in it stands for: every number from the first to the last, with as many
 * digits as the first.
 *
 * ```ts
 * import { expandBraces } from "./shards.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(expandBraces("a-{08..10}.tar"), ["a-08.tar", "a-09.tar", "a-10.tar"]);
 * ```
 * @throws {RangeError} the last number is below the first, or they are more than a million
 */
export function expandBraces(name: string): string[] {
  const match = name.match(/^(.*?)\{(\d+)\.\.(\d+)\}(.*)$/);
  if (match === null) return [name];
  const [, before, low, high, after] = match;
  const count = Number(high) - Number(low) + 1;
  const rest = expandBraces(after);
  if (count < 1 || count * rest.length > MOST_SHARDS) {
    throw new RangeError(
      `Cannot expand ${name}: it must expand to 1 to ${MOST_SHARDS} names, got ${
        count * rest.length
      }`,
    );
  }
  return Array.from(
    { length: count },
    (_, index) => before + String(Number(low) + index).padStart(low.length, "0"),
  ).flatMap((start) => rest.map((end) => start + end));
}

/** The shards that a setting names, in order; of a folder all files with the right end, sorted.
 * @param end of the names of shards: ".tar"
 * @throws {RangeError} no shard is named
 * @throws {Error} a path is not there
 */
export async function findShards(
  setting: string | null,
  flag: string,
  end: string,
): Promise<string[]> {
  if (setting === null) {
    throw new RangeError(`Cannot open the shards: ${flag} must name some, got none`);
  }
  const found: string[] = [];
  for (const name of setting.split(",").flatMap((part) => expandBraces(part.trim()))) {
    if (isAddress(name)) {
      found.push(name);
      continue;
    }
    const entry = await stat(name).catch((cause: Error) => {
      throw new Error(
        `Cannot open ${name}: ${flag} must name files that are there, got ${cause.message}`,
        { cause },
      );
    });
    if (!entry.isDirectory()) {
      found.push(name);
      continue;
    }
    const inside = (await readdir(name)).filter((file) => file.endsWith(end)).sort();
    if (inside.length === 0) {
      throw new RangeError(`Cannot open ${name}: the folder must hold ${end} files, got none`);
    }
    for (const file of inside) found.push(join(name, file));
  }
  return found;
}

/** What a shard is called in messages and a data set is called by. */
export function shardName(name: string): string {
  return isAddress(name) ? new URL(name).pathname.split("/").at(-1)! : basename(name);
}
