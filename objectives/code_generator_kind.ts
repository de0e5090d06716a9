/** What the kinds of generators of codes share. */
import type { Tensor } from "../core/tensor.ts";
import {
  classCount,
  type CodeGeneratorOptions,
  type CodeGeneratorSettings,
  type CodeModel,
  gridOf,
} from "./code_generator.ts";
import { firstStageOf } from "./first_stage_of.ts";
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
 * @throws {RangeError} there is no first stage that fits the images, or the model is to be told classes and the data set
 * has none
 */
export function codeModelNeeds(
  needs: ObjectiveNeeds<CodeGeneratorSettings>,
): CodeModelNeeds {
  const { dataset, settings } = needs, stage1 = firstStageOf(needs, "codes");
  return {
    codebookSize: stage1.codebookSize,
    grid: gridOf(stage1, dataset),
    recompute: needs.recompute,
    classes: settings.conditional ? classCount(dataset) : 0,
  };
}

/** What a generator is made of by a configuration. Weight decay is for matrices only, as transformers have it. */
export function codeGeneratorOptions<Model extends CodeModel>(
  { stage1, dataset, settings, optimizer, steps }: ObjectiveNeeds<CodeGeneratorSettings>,
  model: Model,
): CodeGeneratorOptions<Model> {
  const { classDropout, smoothing, cache } = settings;
  const isMatrix = ({ shape }: Tensor) => shape.length === 2;
  return {
    ...{ model, stage1: stage1!, dataset, classDropout, smoothing, cache },
    optimizer: constructOptimizer(optimizer, model.namedParameters(), isMatrix),
    learningRate: constructLearningRate(optimizer, steps),
    clipNorm: optimizer.clipNorm ?? undefined,
  };
}
