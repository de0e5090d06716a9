/** FFHQ (Karras et al. 2019, "A style-based generator architecture for GANs"): 70,000 faces. */
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

/** The number of the first test image in the authors' split. */
const FIRST_TEST = 60_000;

const HINT = "FFHQ's pictures have licences of their own: get images1024x1024 or the thumbnails " +
  "from its authors, and name the folder with 00000.png, or with 00000/00000.png, in it";

/** `ffhq` in the registry: `[size, size, 3]`. The images 0 to 59999 are for training, those from 60000 for testing. */
export const ffhqKind: DatasetKind<ImageFolderSettings> = {
  schema: z.strictObject({
    path: pathSetting("the folder of FFHQ's images"),
    ...decodedSettings(256),
  }),
  imageShape: squareInColour,
  open: openFfhq,
};

async function openFfhq(settings: ImageFolderSettings, options: OpenOptions): Promise<Dataset> {
  const path = requirePath(settings.path, "ffhq", HINT);
  const names = (await findImages(path)).filter((name) =>
    /(^|\/)\d{5}\.(png|jpg|webp)$/.test(name)
  );
  const numberOf = (name: string) => Number(name.match(/(\d{5})\.\w+$/)![1]);
  const parts = {
    train: filesIn(path, names.filter((name) => numberOf(name) < FIRST_TEST)),
    test: filesIn(path, names.filter((name) => numberOf(name) >= FIRST_TEST)),
  };
  return await openDecoded({ name: "ffhq", parts, settings }, options);
}
