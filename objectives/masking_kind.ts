/** Masking in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, TRANSFORMERS } from "../models/registry.ts";
import {
  checkOneCode,
  classCount,
  CODE_GENERATOR_SETTINGS,
  type CodeGeneratorSettings,
  codeShapeOf,
} from "./code_generator.ts";
import type { ObjectiveKind } from "./kind.ts";
import { MASKED_SAMPLING, MaskingObjective } from "./masking.ts";
import { constructLearningRate, constructOptimizer, isMatrix } from "./optimizer_settings.ts";

/** The settings of masking. */
export interface MaskingSettings extends CodeGeneratorSettings {
  /** The share of each target that is spread over all codes. */
  readonly smoothing: number;
}

/** Masking, with a transformer and one optimiser. */
export const maskingKind: ObjectiveKind<MaskingSettings> = {
  description: "tell the hidden codes of a first stage from the others",
  schema: z.strictObject({
    smoothing: z.number().min(0).max(1).default(0.1)
      .describe("share of each target that is spread over all codes"),
    ...CODE_GENERATOR_SETTINGS,
  }),
  models: TRANSFORMERS,
  quantizes: false,
  stage1: "required",
  sampling: MASKED_SAMPLING,
  make(device, { stage1, dataset, settings, model, optimizer, seed, steps }) {
    checkOneCode(stage1!, "a masking model");
    const { conditional, classDropout, smoothing } = settings;
    const [height, width] = codeShapeOf(stage1!, dataset);
    const needs = {
      codebookSize: stage1!.codebookSize,
      grid: [height, width] as const,
      classes: conditional ? classCount(dataset) : 0,
      causal: false,
    };
    const made = createModel(TRANSFORMERS, device, needs, model, randomKey(seed, "initial model"));
    return new MaskingObjective({
      model: made,
      optimizer: constructOptimizer(optimizer, made.namedParameters(), isMatrix),
      stage1: stage1!,
      dataset,
      classDropout,
      smoothing,
      learningRate: constructLearningRate(optimizer, steps),
      clipNorm: optimizer.clipNorm ?? undefined,
    });
  },
};
