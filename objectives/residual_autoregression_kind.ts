/** Residual autoregression in the registry. */
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import { createModel, RESIDUAL_TRANSFORMERS } from "../models/registry.ts";
import { AUTOREGRESSIVE_SAMPLING } from "./autoregression.ts";
import { codeGeneratorSchema, type CodeGeneratorSettings } from "./code_generator.ts";
import { codeGeneratorOptions, codeModelNeeds } from "./code_generator_kind.ts";
import type { ObjectiveKind } from "./kind.ts";
import { ResidualAutoregressionObjective } from "./residual_autoregression.ts";

/** Residual autoregression, with an RQ-transformer and one optimiser. */
export const residualAutoregressionKind: ObjectiveKind<CodeGeneratorSettings> = {
  description: "tell each code of a first stage with several codes a position from those before it",
  schema: codeGeneratorSchema(0),
  models: RESIDUAL_TRANSFORMERS,
  quantizes: false,
  stage1: "required",
  sampling: AUTOREGRESSIVE_SAMPLING,
  make(device, needs) {
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs), depth: sizeOf(needs.stage1!.codeAxes) };
    const model = createModel(RESIDUAL_TRANSFORMERS, device, wanted, needs.model, key);
    return new ResidualAutoregressionObjective(codeGeneratorOptions(needs, model));
  },
};
