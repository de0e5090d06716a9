/** What the registry knows of a method: its settings and how it is made. */
import { z } from "zod";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import type { Quantizer } from "./quantizer.ts";

/** The schema of each setting, with its default and its description. */
export type SettingsShape<Settings> = {
  readonly [Name in keyof Settings]: z.ZodType<Settings[Name]>;
};

/** A way to quantise that can be chosen by name. */
export interface QuantizerMethod<Settings extends object = object> {
  /** Checks settings and fills in the defaults. */
  readonly schema: z.ZodObject<SettingsShape<Settings>, z.core.$strict>;
  /** Makes a quantiser.
   * @param settings what differs from the defaults
   * @param key of its random initial values
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  make(device: Device, settings: Partial<Settings>, key: RandomKey): Quantizer;
}

/** The settings of every method that learns a codebook. */
export interface CodebookSettings {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** D: the length of a code. */
  readonly codebookDim: number;
  /** β: the weight of the term that moves the encoder. */
  readonly commitmentWeight: number;
}

/** Their schemas. */
export const codebookSettings: SettingsShape<CodebookSettings> = {
  codebookSize: z.int().min(1).default(512).describe("K: the number of codes"),
  codebookDim: z.int().min(1).default(64).describe("D: the length of a code"),
  commitmentWeight: z.number().min(0).default(0.25)
    .describe("β: the weight of the term that moves the encoder"),
};

/** The schema of the distance to a code.
 * @param preferred the default
 */
export function distanceSetting(preferred: Distance): z.ZodType<Distance> {
  return z.enum(["l2", "cos"]).default(preferred).describe("how nearness is measured");
}
