/** An entry of the registry of methods: the schema of its settings, and a function that makes the quantiser. */
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

/** A quantisation method that can be chosen by name. */
export interface QuantizerMethod<Settings extends object = object> {
  /** Checks settings and fills in the defaults. */
  readonly schema: z.ZodObject<SettingsShape<Settings>, z.core.$strict>;
  /** Makes a quantiser.
   * @param settings those that differ from the defaults
   * @param key for its random initial values
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  make(device: Device, settings: Partial<Settings>, key: RandomKey): Quantizer;
}

/** What the codes of a grid of features describe: a position each (`one`), a position together (`several`), or the grid
 * as a whole, scale by scale (`scales`). */
export type CodeLayout = "one" | "several" | "scales";

/** A method that uses several quantisers of another method, the inner one. */
export interface CompositeMethod<Settings extends object = object> {
  /** What its codes describe. */
  readonly layout: CodeLayout;
  /** Checks the method's own settings and fills in the defaults. The inner method checks its own. */
  readonly schema: z.ZodObject<SettingsShape<Settings>, z.core.$strict>;
  /** Makes a quantiser.
   * @param inner makes an inner quantiser with the random initial values of the given key
   * @param settings those that differ from the defaults
   * @param key for its random initial values
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  makeOf(
    device: Device,
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

/** The schemas of the sizes. */
export const codebookSizes: SettingsShape<CodebookSizes> = {
  codebookSize: z.int().min(1).default(512).describe("K: the number of codes"),
  codebookDim: z.int().min(1).default(64).describe("D: the length of a code"),
};

/** The ways to initialise codes: uniform in (−1/K, 1/K), or by k-means of the first training batch. k-means itself
 * starts from uniformly drawn features (`kmeans`) or by k-means++ (`kmeans++`). */
export const INITIALIZATIONS = ["uniform", "kmeans", "kmeans++"] as const;

/** The name of an initialisation. */
export type Initialization = typeof INITIALIZATIONS[number];

/** The settings of every method that keeps a codebook. */
export interface CodebookSettings extends CodebookSizes {
  /** β: the weight of the commitment loss. */
  readonly commitmentWeight: number;
  /** The distance for the nearest-code lookup. The loss does not depend on this setting: it always uses the vectors
   * themselves. */
  readonly distance: Distance;
  /** The estimator of the gradient that the features get. */
  readonly gradient: GradientEstimator;
  /** How the codes are initialised. */
  readonly initialization: Initialization;
  /** Whether features and codes are scaled to length 1 (arXiv 2110.04627), also in the loss and the output. */
  readonly unitLength: boolean;
  /** The weight of the orthogonality loss between codes; 0 turns it off. */
  readonly orthogonality: number;
  /** Replaces a code by a feature if the average number of features per batch assigned to it falls below this; 0: never.
   */
  readonly replaceBelow: number;
  /** The decay of the average count that `replaceBelow` is compared with. */
  readonly countDecay: number;
  /** Whether the codes keep their initial values. */
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
      .describe("β: the weight of the commitment loss"),
    distance: z.enum(["l2", "cos"]).default(distance).describe(
      "the distance for the nearest-code lookup",
    ),
    gradient: z.enum(GRADIENT_ESTIMATORS).default("straight-through")
      .describe("the estimator of the gradient that the encoder gets"),
    initialization: z.enum(INITIALIZATIONS).default("uniform")
      .describe("initial codes: uniform near 0, or k-means centres of the first batch"),
    unitLength: z.boolean().default(false)
      .describe("whether to scale features and codes to length 1"),
    orthogonality: z.number().min(0).default(0)
      .describe("the weight of the orthogonality loss between codes; 0: off"),
    replaceBelow: z.number().min(0).default(replaceBelow)
      .describe(
        "replace a code by a feature if fewer features than this are assigned to it per batch, on average; 0: never",
      ),
    countDecay: z.number().min(0).lt(1).default(0.99)
      .describe("the decay of the average count that replaceBelow is compared with"),
    frozen: z.boolean().default(false).describe("whether the codes keep their initial values"),
  };
}
