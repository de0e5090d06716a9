/** ImageNet, ILSVRC 2012 (Russakovsky et al. 2015): 1,281,167 training and 50,000 validation images of 1,000 classes. */
import { join } from "node:path";
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import { openDecoded } from "./decoded.ts";
import { classedByFolders, filesIn, findImages, foldersIn, requirePath } from "./folder.ts";
import type { ImageFolderSettings } from "./image_folder.ts";
import {
  type DatasetKind,
  decodedSettings,
  type OpenOptions,
  pathSetting,
  squareInColour,
} from "./kind.ts";

const HINT = "ImageNet is for non-commercial research, after registration with its authors: name " +
  "the folder with train/ (a folder a class, such as n01440764) and val/ in it";

/** `imagenet` in the registry: `[size, size, 3]`. The images of the class folders in `train` are for training. Those in
 * `val`, with or without class folders, are for testing. If both have class folders, these are the classes. */
export const imagenetKind: DatasetKind<ImageFolderSettings> = {
  schema: z.strictObject({
    path: pathSetting("the folder with ImageNet's train/ and val/"),
    ...decodedSettings(256),
  }),
  imageShape: squareInColour,
  open: openImagenet,
};

async function openImagenet(settings: ImageFolderSettings, options: OpenOptions): Promise<Dataset> {
  const path = requirePath(settings.path, "imagenet", HINT);
  const folders = await foldersIn(path);
  if (!folders.has("train") || !folders.has("val")) {
    throw new Error(
      `Cannot open imagenet: ${path} must hold train/ and val/, got ${[...folders].join(", ")}`,
    );
  }
  const [train, val] = [join(path, "train"), join(path, "val")];
  const trained = (await findImages(train)).filter((name) => /^n\d{8}\//.test(name));
  const parts = { train: filesIn(train, trained), test: filesIn(val, await findImages(val)) };
  return await openDecoded({ name: "imagenet", ...classedByFolders(parts), settings }, options);
}
