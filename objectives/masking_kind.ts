/** Masking in the registry. */
import { randomKey } from "../core/random.ts";
import { createModel, TRANSFORMERS } from "../models/registry.ts";
import { checkOneCode } from "./code_stage.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";
import { MASKED_SAMPLING, MaskingObjective } from "./masking.ts";

/** Masking, with a transformer and one optimiser. */
export const maskingKind: ObjectiveKind<CodeGeneratorSettings> = {
  description: "predict the masked codes of a first stage from the other codes",
  schema: codeGeneratorSchema(0.1),
  models: TRANSFORMERS,
  quantizes: false,
  stage1: "one",
  sampling: MASKED_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    checkOneCode(stage1, "a masking model");
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), causal: false };
    const model = createModel(TRANSFORMERS, device, wanted, needs.model, key);
    return new MaskingObjective(codeGeneratorOptions(needs, stage1, model));
  },
};
