/** Any folder of images. */
import { basename, join, resolve } from "node:path";
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import { openDecoded } from "./decoded.ts";
import {
  classedByFolders,
  filesIn,
  findImages,
  foldersIn,
  type ImageFiles,
  requirePath,
} from "./folder.ts";
import {
  type DatasetKind,
  type DecodedSettings,
  decodedSettings,
  type OpenOptions,
  pathSetting,
  squareInColour,
} from "./kind.ts";

/** The settings of `image-folder`. */
export interface ImageFolderSettings extends DecodedSettings {
  /** The folder. */
  readonly path: string | null;
}

/** Every tenth image is a test image, if no folder defines the test images. */
const TEST_EVERY = 10;
/** Possible names of the folder of test images; the first existing one is used. */
const TEST_FOLDERS = ["test", "val", "valid", "validation"];

/** `image-folder` in the registry: `[size, size, 3]`. The folders `train` and `test` (or `val`, `valid`, `validation`)
 * hold the two parts. Without such folders, the image at position p of the sorted paths is a test image if p ≡ 9 modulo
 * 10. If every image lies in a subfolder of its part, these subfolders are the classes. */
export const imageFolderKind: DatasetKind<ImageFolderSettings> = {
  schema: z.strictObject({
    path: pathSetting("the folder of the images"),
    ...decodedSettings(256),
  }),
  imageShape: squareInColour,
  open: openImageFolder,
};

async function openImageFolder(
  settings: ImageFolderSettings,
  options: OpenOptions,
): Promise<Dataset> {
  const path = requirePath(settings.path, "image-folder", "any folder with images in it will do");
  const name = `image-folder ${basename(resolve(path))}`;
  return await openDecoded({ name, ...classedByFolders(await partsOf(path)), settings }, options);
}

async function partsOf(path: string): Promise<Record<"train" | "test", ImageFiles>> {
  const folders = await foldersIn(path);
  const tests = TEST_FOLDERS.find((folder) => folders.has(folder));
  if (folders.has("train") && tests !== undefined) {
    const list = async (folder: string) => filesIn(folder, await findImages(folder));
    return { train: await list(join(path, "train")), test: await list(join(path, tests)) };
  }
  const names = await findImages(path);
  const isTest = (position: number) => position % TEST_EVERY === TEST_EVERY - 1;
  return {
    train: filesIn(path, names.filter((_, position) => !isTest(position))),
    test: filesIn(path, names.filter((_, position) => isTest(position))),
  };
}
