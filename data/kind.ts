/** The registry's entry for a data set: its settings and how it is opened. */
import * as z from "zod";
import type { Dataset } from "./dataset.ts";

/** The schema of each setting, with its default and its description. */
export type DatasetSettingsShape<Settings> = {
  readonly [Name in keyof Settings]: z.ZodType<Settings[Name]>;
};

/** Options for opening and reading a data set. */
export interface OpenOptions {
  /** Called with messages about slow work (a download) and skipped data (a broken image); by default messages are
   * dropped. */
  readonly onMessage?: (message: string) => void;
  /** Milliseconds without a byte after which a download is aborted and resumed; by default a minute. */
  readonly stallLimit?: number;
}

/** A data set that can be chosen by name. */
export interface DatasetKind<Settings extends object = object> {
  /** Checks settings and fills in the defaults. */
  readonly schema: z.ZodObject<DatasetSettingsShape<Settings>, z.core.$strict>;
  /** Height, width and channels of the images, known before the data set is opened. */
  imageShape(settings: Settings): Dataset["imageShape"];
  /** Opens the set.
   * @param settings all settings, checked
   */
  open(settings: Settings, options: OpenOptions): Promise<Dataset>;
}

/** The settings of every data set whose images are decoded on demand. */
export interface DecodedSettings {
  /** The side of the decoded images, which are square. */
  readonly size: number;
  /** Which square of a training image is cropped. */
  readonly crop: "centre" | "random";
  /** Whether training images are mirrored at random. */
  readonly flip: boolean;
  /** The maximum number of images of each part. */
  readonly limit: number | null;
  /** The number of broken images to skip before the run stops. */
  readonly brokenLimit: number;
  /** The number of decoding threads. */
  readonly workers: number | null;
}

/** The schemas of these settings.
 * @param size the default side
 */
export function decodedSettings(size: number): DatasetSettingsShape<DecodedSettings> {
  return {
    size: sizeSetting(size),
    crop: z.enum(["centre", "random"]).default("centre")
      .describe(
        "which square is cropped from a training image after its shorter side is scaled to the size",
      ),
    flip: z.boolean().default(false).describe("mirrors each training image with probability ½"),
    limit: z.int().min(1).nullable().default(null)
      .describe("uses at most this many images of each part, at even intervals; none: all"),
    brokenLimit: z.int().min(0).default(10)
      .describe(
        "how many broken images are skipped, with their names printed, before the run stops",
      ),
    workers: z.int().min(1).max(256).nullable().default(null)
      .describe("threads that decode images; none: as many as the machine has cores"),
  };
}

/** The shape of square colour images. */
export function squareInColour({ size }: { readonly size: number }): Dataset["imageShape"] {
  return [size, size, 3];
}

/** The schema of the side of square images.
 * @param preferred the default
 */
export function sizeSetting(preferred: number): z.ZodType<number> {
  return z.int().min(1).max(4096).default(preferred).describe("the side of the images, in pixels");
}

/** The schema of the path of a data set that cannot be downloaded automatically.
 * @param what a description of the required folder
 */
export function pathSetting(what: string): z.ZodType<string | null> {
  return z.string().min(1).nullable().default(null).describe(what);
}
