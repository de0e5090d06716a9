/** The data sets that can be chosen by name in the configuration and on the command line. */
import * as z from "zod";
import { suggestName } from "../settings/nearest_name.ts";
import { checkHas } from "../settings/check_has.ts";
import { readSettings } from "../settings/settings.ts";
import { celebaKind } from "./celeba.ts";
import { cifar10Kind } from "./cifar10.ts";
import type { Dataset } from "./dataset.ts";
import { digitsKind } from "./digits.ts";
import { emojiKind } from "./emoji.ts";
import { ffhqKind } from "./ffhq.ts";
import { imageFolderKind } from "./image_folder.ts";
import { imagenetKind } from "./imagenet.ts";
import type { DatasetKind, OpenOptions } from "./kind.ts";
import { fashionMnistKind, mnistKind } from "./mnist.ts";
import { lsunKind } from "./lsun.ts";
import { parquetKind } from "./parquet.ts";
import { shapesKind } from "./shapes.ts";
import { unknownKind } from "./unknown.ts";
import { webdatasetKind } from "./webdataset.ts";

/** Every data set by name. To add one, add a file in this folder and a line here. */
const KINDS: ReadonlyMap<string, DatasetKind> = new Map<string, DatasetKind>([
  ["digits", digitsKind],
  ["emoji", emojiKind],
  ["shapes", shapesKind],
  ["mnist", mnistKind],
  ["fashion-mnist", fashionMnistKind],
  ["cifar10", cifar10Kind],
  ["image-folder", imageFolderKind],
  ["celeba", celebaKind],
  ["ffhq", ffhqKind],
  ["imagenet", imagenetKind],
  ["lsun", lsunKind],
  ["parquet", parquetKind],
  ["webdataset", webdatasetKind],
  ["unknown", unknownKind],
]);

/** The names of the data sets. */
export const DATASET_NAMES: readonly string[] = [...KINDS.keys()];

/** The default data set. */
export const DEFAULT_DATASET = "digits";

/** A data set's name and its settings in a configuration. */
export interface DatasetConfig {
  /** The data set's name. */
  readonly name: string;
  /** Its settings. */
  readonly [setting: string]: unknown;
}

/** Finds a data set's entry by name, without opening the data set.
 * @throws {RangeError} there is no such data set
 */
export function datasetKind(name: string): DatasetKind {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  throw new RangeError(
    `Cannot choose a data set: data.name must name a data set, got "${name}", ${
      suggestName(name, DATASET_NAMES)
    }`,
  );
}

/** The schema of a data set's configuration: its name and its settings.
 * @param config the configuration, possibly incomplete; only its name is used
 * @throws {RangeError} there is no such data set
 */
export function datasetSchema(config: unknown): z.ZodType<DatasetConfig> {
  const { name } = (config ?? {}) as { name?: unknown };
  const chosen = typeof name === "string" ? name : DEFAULT_DATASET;
  return z.strictObject({
    name: z.enum([...DATASET_NAMES]).default(chosen).describe("the data set"),
    ...datasetKind(chosen).schema.shape,
  }).prefault({});
}

/** Height, width and channels of the images of a data set, without opening it.
 * @throws {RangeError} there is no data set of that name, or a setting is not allowed
 */
export function imageShapeOf({ name, ...given }: DatasetConfig): Dataset["imageShape"] {
  const kind = datasetKind(name);
  return kind.imageShape(readSettings(kind.schema, given, `read the settings of ${name}`));
}

/** Opens a data set by its name, or by its name and the settings that differ from the defaults.
 *
 * ```ts
 * import { openDataset } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { imageShape } = await openDataset("digits");
 * assert.deepEqual(imageShape, [28, 28, 1]);
 * const shapes = await openDataset({ name: "shapes", size: 16 });
 * assert.deepEqual(shapes.imageShape, [16, 16, 3]);
 * ```
 * @throws {TypeError} neither a name nor an object with a name is given
 * @throws {RangeError} there is no data set of that name, or a setting is not allowed
 * @throws {Error} the files of the data set are missing or broken
 */
export async function openDataset(
  chosen: string | DatasetConfig,
  options: OpenOptions = {},
): Promise<Dataset> {
  const config = typeof chosen === "string" ? { name: chosen } : chosen;
  checkHas(config, "name", "open a data set", "a name, or an object with one such as config.data");
  const { name, ...given } = config;
  const kind = datasetKind(name);
  return await kind.open(readSettings(kind.schema, given, `open ${name}`), options);
}
