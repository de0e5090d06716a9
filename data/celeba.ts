/** CelebA (Liu et al. 2015, "Deep learning face attributes in the wild"): 202,599 aligned faces, 178×218. */
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import { openDecoded } from "./decoded.ts";
import { filesIn, findImages, requirePath } from "./folder.ts";
import type { ImageFolderSettings } from "./image_folder.ts";
import {
  type DatasetKind,
  decodedSettings,
  type OpenOptions,
  pathSetting,
  squareInColour,
} from "./kind.ts";

/** The file numbers that separate the parts, as in `list_eval_partition.txt`; the images between are for validation. */
const LAST_TRAINING = 162_770;
const FIRST_TEST = 182_638;

const HINT = "CelebA is licensed for non-commercial research: ask its authors for the aligned " +
  "images, and name the folder that img_align_celeba.zip unpacks to, with 000001.jpg in it";

/** `celeba` in the registry: `[size, size, 3]`, the centre square of the aligned images. The parts are the official
 * ones: the files up to 162770 are for training, those from 182638 on for testing. */
export const celebaKind: DatasetKind<ImageFolderSettings> = {
  schema: z.strictObject({
    path: pathSetting("the folder img_align_celeba"),
    ...decodedSettings(128),
  }),
  imageShape: squareInColour,
  open: openCeleba,
};

async function openCeleba(settings: ImageFolderSettings, options: OpenOptions): Promise<Dataset> {
  const path = requirePath(settings.path, "celeba", HINT);
  const names = (await findImages(path)).filter((name) => /(^|\/)\d{6}\.(jpg|png)$/.test(name));
  const numberOf = (name: string) => Number(name.slice(-10, -4));
  const parts = {
    train: filesIn(path, names.filter((name) => numberOf(name) <= LAST_TRAINING)),
    test: filesIn(path, names.filter((name) => numberOf(name) >= FIRST_TEST)),
  };
  return await openDecoded({ name: "celeba", parts, settings }, options);
}
