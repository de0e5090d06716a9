/** What the kinds of generators of codes share. */
import type { Tensor } from "../core/tensor.ts";
import { classCount } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import {
  type CodeGeneratorOptions,
  type CodeGeneratorSettings,
  type CodeModel,
  gridOf,
} from "./code_generator.ts";
import type { ObjectiveNeeds } from "./kind.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";

/** What a model that tells codes is made for. */
export interface CodeModelNeeds {
  /** K. */
  readonly codebookSize: number;
  /** Rows and columns of the grid of an image. */
  readonly grid: readonly [height: number, width: number];
  /** How many classes it is told of. */
  readonly classes: number;
  /** Whether blocks are computed anew in the backward pass instead of kept. */
  readonly recompute?: boolean;
}

/** What a model is made for by a configuration.
 * @param stage1 as `firstStageOf` gives it
 * @throws {RangeError} the model is to be told classes and the data set has none
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

/** What a generator is made of by a configuration. Weight decay is for matrices only, as transformers have it. */
export function codeGeneratorOptions<Model extends CodeModel>(
  { dataset, settings, optimizer, steps }: ObjectiveNeeds<CodeGeneratorSettings>,
  stage1: FirstStage,
  model: Model,
): CodeGeneratorOptions<Model> {
  const { classDropout, smoothing, cache } = settings;
  const isMatrix = ({ shape }: Tensor) => shape.length === 2;
  return {
    ...{ model, stage1, dataset, classDropout, smoothing, cache },
    optimizer: constructOptimizer(optimizer, model.namedParameters(), isMatrix),
    learningRate: constructLearningRate(optimizer, steps),
    clipNorm: optimizer.clipNorm ?? undefined,
  };
}
