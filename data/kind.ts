/** What the registry knows of a data set: its settings and how it is opened. */
import * as z from "zod";
import type { Dataset } from "./dataset.ts";

/** The schema of each setting, with its default and its description. */
export type DatasetSettingsShape<Settings> = {
  readonly [Name in keyof Settings]: z.ZodType<Settings[Name]>;
};

/** What goes on while a data set is opened and read. */
export interface OpenOptions {
  /** Hears, in words, what takes long (a download) and what is left out (a broken image); nobody by default. */
  readonly onMessage?: (message: string) => void;
  /** Milliseconds without a byte after which a download is broken off and goes on; a minute by default. */
  readonly stallLimit?: number;
}

/** A data set that can be chosen by name. */
export interface DatasetKind<Settings extends object = object> {
  /** Checks settings and fills in the defaults. */
  readonly schema: z.ZodObject<DatasetSettingsShape<Settings>, z.core.$strict>;
  /** Height, width and channels of the images. Known before the data set is opened. */
  imageShape(settings: Settings): Dataset["imageShape"];
  /** Opens the set.
   * @param settings all of them, checked
   */
  open(settings: Settings, options: OpenOptions): Promise<Dataset>;
}

/** The settings of every data set whose images are decoded as they are needed. */
export interface DecodedSettings {
  /** The side of the images that are given; they are square. */
  readonly size: number;
  /** Which square of a training image is taken. */
  readonly crop: "centre" | "random";
  /** Whether every other training image is mirrored. */
  readonly flip: boolean;
  /** How many images of a part are used at most. */
  readonly limit: number | null;
  /** How many broken images are left out before the run stops. */
  readonly brokenLimit: number;
  /** How many threads decode. */
  readonly workers: number | null;
}

/** Their schemas.
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

/** The shape of square images in colour. */
export function squareInColour({ size }: { readonly size: number }): Dataset["imageShape"] {
  return [size, size, 3];
}

/** The schema of the side of square images.
 * @param preferred the default
 */
export function sizeSetting(preferred: number): z.ZodType<number> {
  return z.int().min(1).max(4096).default(preferred).describe("the side of the images, in pixels");
}

/** The schema of where a set lies that cannot be downloaded without asking.
 * @param what what must be there, in words
 */
export function pathSetting(what: string): z.ZodType<string | null> {
  return z.string().min(1).nullable().default(null).describe(what);
}
