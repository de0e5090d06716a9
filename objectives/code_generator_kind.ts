/** What all registry entries of code generators have in common. */
import * as z from "zod";
import type { Tensor } from "../core/tensor.ts";
import { classCount } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { type Cache, CACHE_PLACES, type CachePlace, CACHES } from "./cached_encodings.ts";
import type { CodeGeneratorOptions, CodeModel } from "./code_generator.ts";
import { gridOf } from "./code_stage.ts";
import type { ObjectiveNeeds } from "./kind.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";

/** Settings that all generators of codes have in common. */
export interface CodeGeneratorSettings {
  /** Whether the model is conditioned on the classes. */
  readonly conditional: boolean;
  /** The fraction of training images whose class is hidden from the model. */
  readonly classDropout: number;
  /** Label smoothing: the fraction of each target that is spread over all codes. */
  readonly smoothing: number;
  /** Which codes of the training images are cached. */
  readonly cache: Cache;
  /** Where they are cached. */
  readonly cacheIn: CachePlace;
}

/** The schema of these settings.
 * @param smoothing the default of `smoothing`
 */
export function codeGeneratorSchema(smoothing: number): z.ZodObject<
  { readonly [Name in keyof CodeGeneratorSettings]: z.ZodType<CodeGeneratorSettings[Name]> },
  z.core.$strict
> {
  return z.strictObject({
    conditional: z.boolean().default(false).describe("conditions the model on the images' classes"),
    classDropout: z.number().min(0).max(1).default(0.1)
      .describe(
        "the fraction of training images whose class is hidden from the model; classifier-free guidance needs it",
      ),
    smoothing: z.number().min(0).max(1).default(smoothing)
      .describe("label smoothing: the fraction of each target that is spread over all codes"),
    cache: z.enum([...CACHES]).default("none").describe(
      "which codes are cached: none, those of the training images as they are, or also those of their mirror images",
    ),
    cacheIn: z.enum([...CACHE_PLACES]).default("memory").describe(
      "where they are cached: in memory, or in a file of the user's cache folder, for all runs over the first stage",
    ),
  });
}

/** The requirements that a model of codes must meet. */
export interface CodeModelNeeds {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** Rows and columns of an image's grid of codes. */
  readonly grid: readonly [height: number, width: number];
  /** The number of classes that the model is conditioned on; 0 without classes. */
  readonly classes: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values. */
  readonly recompute?: boolean;
}

/** The requirements on the model of a configuration.
 * @param stage1 the first stage, from `firstStageOf`
 * @throws {RangeError} the model is to be conditioned on classes, and the data set has none
 */
export function codeModelNeeds(
  { dataset, settings, recompute }: ObjectiveNeeds<CodeGeneratorSettings>,
  stage1: FirstStage,
): CodeModelNeeds {
  return {
    codebookSize: stage1.codebookSize,
    grid: gridOf(stage1, dataset),
    recompute,
    classes: settings.conditional ? classCount(dataset, "objective.conditional") : 0,
  };
}

/** The constructor options of a generator, from a configuration. As usual for transformers, weight decay applies to
 * matrices only. */
export function codeGeneratorOptions<Model extends CodeModel>(
  { dataset, settings, optimizer, steps }: ObjectiveNeeds<CodeGeneratorSettings>,
  stage1: FirstStage,
  model: Model,
): CodeGeneratorOptions<Model> {
  const { classDropout, smoothing, cache, cacheIn } = settings;
  const isMatrix = ({ shape }: Tensor) => shape.length === 2;
  return {
    ...{ model, stage1, dataset, classDropout, smoothing, cache, cacheIn },
    optimizer: constructOptimizer(optimizer, model.namedParameters(), isMatrix),
    learningRate: constructLearningRate(optimizer, steps),
    clipNorm: optimizer.clipNorm ?? undefined,
  };
}
