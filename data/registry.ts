/** The data sets that can be chosen by name. */
import { suggestName } from "../core/nearest_name.ts";
import type { Dataset } from "./dataset.ts";
import { openDigits } from "./digits.ts";

/** Every data set by name; adding one is a file in this folder and a line here. */
const DATASETS: ReadonlyMap<string, () => Promise<Dataset>> = new Map([
  ["digits", openDigits],
]);

/** The names of the data sets. */
export const DATASET_NAMES: readonly string[] = [...DATASETS.keys()];

/** Opens a data set by its name.
 *
 * ```ts
 * import { openDataset } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { imageShape } = await openDataset("digits");
 * assert.deepEqual(imageShape, [28, 28, 1]);
 * ```
 * @throws {RangeError} there is none of that name
 */
export async function openDataset(name: string): Promise<Dataset> {
  const open = DATASETS.get(name);
  if (open !== undefined) return await open();
  throw new RangeError(
    `Cannot open a data set: the name must be that of one, got "${name}", ${
      suggestName(name, DATASET_NAMES)
    }`,
  );
}
