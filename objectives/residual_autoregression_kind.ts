/** Residual autoregression in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import { createModel, RESIDUAL_TRANSFORMERS } from "../models/registry.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { checkPositions } from "./code_stage.ts";
import { CODE_SAMPLING } from "./code_sampling.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";
import { ResidualAutoregressionObjective } from "./residual_autoregression.ts";

/** The settings of residual autoregression. */
export interface ResidualAutoregressionSettings extends CodeGeneratorSettings {
  /** τ: the temperature of soft targets over near codes, from which a training step also samples its codes; 0: hard
   * targets and the codes of the first stage. */
  readonly softening: number;
}

/** Residual autoregression, with an RQ-transformer and one optimiser. */
export const residualAutoregressionKind: ObjectiveKind<ResidualAutoregressionSettings> = {
  description:
    "predict each code of a first stage with several codes per position from the codes before it",
  schema: codeGeneratorSchema(0).extend({
    softening: z.number().min(0).default(0).describe(
      "τ: the temperature of soft targets over near codes, from which a training step also samples its codes; 0: hard targets",
    ),
  }),
  models: RESIDUAL_TRANSFORMERS,
  quantizes: false,
  stage1: "several",
  sampling: CODE_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    checkPositions(stage1, "a residual autoregressive model");
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), depth: sizeOf(stage1.codeAxes) };
    const model = createModel(RESIDUAL_TRANSFORMERS, device, wanted, needs.model, key);
    return new ResidualAutoregressionObjective({
      ...codeGeneratorOptions(needs, stage1, model),
      softening: needs.settings.softening,
    });
  },
};
