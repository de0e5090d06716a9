/** What all registry entries of code generators have in common. */
import type { Tensor } from "../core/tensor.ts";
import { classCount } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import type { CodeGeneratorOptions, CodeGeneratorSettings, CodeModel } from "./code_generator.ts";
import { gridOf } from "./code_stage.ts";
import type { ObjectiveNeeds } from "./kind.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";

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
