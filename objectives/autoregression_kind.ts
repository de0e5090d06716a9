/** Autoregression in the registry. */
import { randomKey } from "../core/random.ts";
import { createModel, TRANSFORMERS } from "../models/registry.ts";
import { AutoregressionObjective } from "./autoregression.ts";
import { checkOneCode } from "./code_stage.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { CODE_SAMPLING } from "./code_sampling.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";

/** Autoregression, with a transformer and one optimiser. */
export const autoregressionKind: ObjectiveKind<CodeGeneratorSettings> = {
  description: "predict each code of a first stage from the codes before it",
  schema: codeGeneratorSchema(0),
  models: TRANSFORMERS,
  quantizes: false,
  stage1: "one",
  sampling: CODE_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    checkOneCode(stage1, "an autoregressive model");
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), causal: true };
    const model = createModel(TRANSFORMERS, device, wanted, needs.model, key);
    return new AutoregressionObjective(codeGeneratorOptions(needs, stage1, model));
  },
};
