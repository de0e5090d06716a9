/** Finds the shards of a data set from their names on the command line. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { type DatasetSettingsShape, type DecodedSettings, decodedSettings } from "./kind.ts";

/** The settings of every data set in shards. */
export interface StreamedSettings extends Omit<DecodedSettings, "limit"> {
  /** The training shards. */
  readonly train: string | null;
  /** The test shards. */
  readonly test: string | null;
  /** The number of training images per epoch. */
  readonly trainImages: number | null;
  /** The number of test images. */
  readonly testImages: number | null;
  /** The number of classes of the labels stored with the images. */
  readonly classes: number | null;
  /** The number of images in the shuffle buffer. */
  readonly shuffleBuffer: number;
}

/** The schemas of these settings.
 * @param shards a description of the files
 * @param unknown how the images are counted without a setting, in words
 * @param labelled a description of the number of classes
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
      .describe(
        "the size of the shuffle buffer, in encoded images, from which the next training image is drawn",
      ),
  };
}

/** The maximum number of shards that a name can expand to. */
const MOST_SHARDS = 1e6;

/** Whether a name is a web address. */
export function isAddress(name: string): boolean {
  return /^https?:\/\//.test(name);
}

/** Expands a name with `{first..last}` to the names with every number from the first to the last, with as many digits as
 * the first.
 *
 * ```ts
 * import { expandBraces } from "./shards.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(expandBraces("a-{08..10}.tar"), ["a-08.tar", "a-09.tar", "a-10.tar"]);
 * ```
 * @throws {RangeError} the last number is below the first, or there are more than a million names
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

/** The shards that a setting names, in order. A folder stands for all of its files with the right extension, sorted.
 * @param end the extension of shards: ".tar"
 * @throws {RangeError} no shard is named
 * @throws {Error} a path does not exist
 */
export async function findShards(
  setting: string | null,
  flag: string,
  end: string,
): Promise<string[]> {
  if (setting === null) {
    throw new RangeError(`Cannot open the shards: ${flag} must name at least one shard, got none`);
  }
  const found: string[] = [];
  for (const name of setting.split(",").flatMap((part) => expandBraces(part.trim()))) {
    if (isAddress(name)) {
      found.push(name);
      continue;
    }
    const entry = await stat(name).catch((cause: Error) => {
      throw new Error(
        `Cannot open ${name}: ${flag} must name existing files, got ${cause.message}`,
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

/** The name of a shard in messages and in the name of the data set. */
export function shardName(name: string): string {
  return isAddress(name) ? new URL(name).pathname.split("/").at(-1)! : basename(name);
}
