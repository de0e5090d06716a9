/** What the registry knows of a method: its settings and how it is made. */
import * as z from "zod";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { GRADIENT_ESTIMATORS, type GradientEstimator } from "./estimators.ts";
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

/** A way to quantise by several quantisers of one other method, the inner one. */
export interface CompositeMethod<Settings extends object = object> {
  /** Checks settings, other than those of the inner method, and fills in the defaults. */
  readonly schema: z.ZodObject<SettingsShape<Settings>, z.core.$strict>;
  /** Makes a quantiser.
   * @param inner makes an inner quantiser; its random initial values are those of the key that it is given
   * @param settings what differs from the defaults
   * @param key of its random initial values
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  makeOf(
    inner: (key: RandomKey) => Quantizer,
    settings: Partial<Settings>,
    key: RandomKey,
  ): Quantizer;
}

/** The sizes of a codebook. */
export interface CodebookSizes {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** D: the length of a code. */
  readonly codebookDim: number;
}

/** Their schemas. */
export const codebookSizes: SettingsShape<CodebookSizes> = {
  codebookSize: z.int().min(1).default(512).describe("K: the number of codes"),
  codebookDim: z.int().min(1).default(64).describe("D: the length of a code"),
};

/** Where codes can start: uniform in (−1/K, 1/K), or at the k-means of the first training batch, itself started from any
 * of its features or from some far from each other. */
export const INITIALIZATIONS = ["uniform", "kmeans", "kmeans++"] as const;

/** Where codes start. */
export type Initialization = typeof INITIALIZATIONS[number];

/** The settings of every method that keeps a codebook. */
export interface CodebookSettings extends CodebookSizes {
  /** β: the weight of the term that moves the encoder. */
  readonly commitmentWeight: number;
  /** How nearness is measured. The loss uses the vectors as they are either way. */
  readonly distance: Distance;
  /** How the gradient passes to the features. */
  readonly gradient: GradientEstimator;
  /** Where the codes start. */
  readonly initialization: Initialization;
  /** Whether features and codes are used at length 1 (arXiv 2110.04627), in the loss and the output too. */
  readonly unitLength: boolean;
  /** The weight of the loss that spreads the codes over directions; 0 leaves it away. */
  readonly orthogonality: number;
  /** Replaces a code whose running count a batch falls below this by a feature; 0 never does. */
  readonly replaceBelow: number;
  /** The decay of the running counts that `replaceBelow` is compared with. */
  readonly countDecay: number;
  /** Whether the codes stay where they start. */
  readonly frozen: boolean;
}

/** The schemas of the settings of a codebook.
 * @param distance the default of `distance`
 * @param replaceBelow the default of `replaceBelow`
 */
export function codebookSettings(
  distance: Distance,
  replaceBelow = 0,
): SettingsShape<CodebookSettings> {
  return {
    ...codebookSizes,
    commitmentWeight: z.number().min(0).default(0.25)
      .describe("β: the weight of the term that moves the encoder"),
    distance: z.enum(["l2", "cos"]).default(distance).describe("how nearness is measured"),
    gradient: z.enum(GRADIENT_ESTIMATORS).default("straight-through")
      .describe("how the gradient passes to the features"),
    initialization: z.enum(INITIALIZATIONS).default("uniform")
      .describe("where codes start: near 0, or at the k-means of the first batch"),
    unitLength: z.boolean().default(false)
      .describe("uses features and codes at length 1"),
    orthogonality: z.number().min(0).default(0)
      .describe("the weight of the loss that spreads codes over directions"),
    replaceBelow: z.number().min(0).default(replaceBelow)
      .describe("replaces a code that serves fewer features a batch by one of them; 0: never"),
    countDecay: z.number().min(0).lt(1).default(0.99)
      .describe("the decay of the count that replaceBelow is compared with"),
    frozen: z.boolean().default(false).describe("leaves the codes where they start"),
  };
}
