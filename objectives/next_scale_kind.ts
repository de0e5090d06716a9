/** Next-scale prediction in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, SCALE_TRANSFORMERS } from "../models/registry.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { CODE_SAMPLING } from "./code_sampling.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";
import { multiScaleOf } from "./multi_scale_codes.ts";
import { NextScaleObjective } from "./next_scale.ts";

/** The settings of next-scale prediction. */
export interface NextScaleSettings extends CodeGeneratorSettings {
  /** The largest fraction of an image's codes that a training step exchanges. */
  readonly exchange: number;
}

/** Next-scale prediction, with a transformer and one optimiser. */
export const nextScaleKind: ObjectiveKind<NextScaleSettings> = {
  description: "predict all codes of a scale of a multi-scale first stage from the scales before",
  schema: codeGeneratorSchema(0).extend({
    exchange: z.number().min(0).max(1).default(0).describe(
      "the largest fraction of an image's codes that training exchanges for those of other images, so that finer scales learn to make up for wrong codes",
    ),
  }),
  models: SCALE_TRANSFORMERS,
  quantizes: false,
  stage1: "scales",
  sampling: CODE_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    const { codebookDim, scales } = multiScaleOf(stage1);
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), codebookDim, scales };
    const model = createModel(SCALE_TRANSFORMERS, device, wanted, needs.model, key);
    return new NextScaleObjective({
      ...codeGeneratorOptions(needs, stage1, model),
      exchange: needs.settings.exchange,
    });
  },
};
