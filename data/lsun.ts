/** LSUN (Yu et al. 2015, arXiv 1506.03365): churches (126,227 images) and bedrooms (3,033,042), in LMDB files. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import { type ImageList, openDecoded } from "./decoded.ts";
import { requirePath } from "./folder.ts";
import { lmdbValues } from "./formats/lmdb.ts";
import { handleAccess } from "./formats/random_access.ts";
import {
  type DatasetKind,
  type DecodedSettings,
  decodedSettings,
  type OpenOptions,
  pathSetting,
  squareInColour,
} from "./kind.ts";
import { regularSize } from "../files/regular_file.ts";

/** The settings of `lsun`. */
export interface LsunSettings extends DecodedSettings {
  /** The folder that contains the folders of the LMDB files. */
  readonly path: string | null;
  /** The scene category. */
  readonly category: "church_outdoor" | "bedroom";
}

const HINT = "LSUN is available from its authors: unpack church_outdoor_train_lmdb.zip and " +
  "church_outdoor_val_lmdb.zip (or bedroom_…), and name the folder with the two folders in it";

/** `lsun` in the registry: `[size, size, 3]`. The file `…_train_lmdb/data.mdb` is for training, and
 * `…_val_lmdb/data.mdb` (300 images) for testing, in the order of their keys. Memory holds the location of each image,
 * 16 bytes per image. */
export const lsunKind: DatasetKind<LsunSettings> = {
  schema: z.strictObject({
    path: pathSetting("the folder with LSUN's …_train_lmdb and …_val_lmdb"),
    category: z.enum(["church_outdoor", "bedroom"]).default("church_outdoor")
      .describe("which of LSUN's scenes"),
    ...decodedSettings(256),
  }),
  imageShape: squareInColour,
  open: openLsun,
};

async function openLsun(settings: LsunSettings, options: OpenOptions): Promise<Dataset> {
  const { category } = settings;
  const path = requirePath(settings.path, "lsun", HINT);
  const parts = {
    train: await valuesIn(join(path, `${category}_train_lmdb`, "data.mdb")),
    test: await valuesIn(join(path, `${category}_val_lmdb`, "data.mdb")),
  };
  return await openDecoded({ name: `lsun ${category}`, parts, settings }, options);
}

/** The values of an LMDB file as a list of images. */
async function valuesIn(path: string): Promise<ImageList> {
  await using file = await regularSize(path).then(() => open(path)).catch((cause: Error) => {
    throw new Error(`Cannot open lsun: ${path} must be there, got ${cause.message}; ${HINT}`, {
      cause,
    });
  });
  const access = handleAccess(file, (await file.stat()).size);
  const places: number[] = [];
  for await (const { offset, length } of lmdbValues(access, path)) places.push(offset, length);
  return {
    count: places.length / 2,
    at: (index) => ({
      name: `value ${index} of ${path}`,
      path,
      offset: places[2 * index],
      length: places[2 * index + 1],
    }),
  };
}
