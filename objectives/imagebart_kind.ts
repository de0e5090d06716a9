/** ImageBART in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, ENCODER_DECODERS } from "../models/registry.ts";
import { checkOneCode } from "./code_stage.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { CODE_SAMPLING } from "./code_sampling.ts";
import { firstStageOf } from "./first_stage_of.ts";
import { ImageBartObjective } from "./imagebart.ts";
import type { ObjectiveKind } from "./kind.ts";

/** The settings of ImageBART. */
export interface ImageBartSettings extends CodeGeneratorSettings {
  /** The number of steps until all codes are random. */
  readonly steps: number;
}

/** ImageBART, with an encoder-decoder for each step and one optimiser. */
export const imageBartKind: ObjectiveKind<ImageBartSettings> = {
  description: "remove noise from the codes of a first stage in a few steps: a generator",
  schema: codeGeneratorSchema(0).extend({
    steps: z.int().min(1).default(3)
      .describe(
        "the number of diffusion steps until all codes are random; each step has its own model",
      ),
  }),
  models: ENCODER_DECODERS,
  quantizes: false,
  stage1: "one",
  sampling: CODE_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    checkOneCode(stage1, "an ImageBART");
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), steps: needs.settings.steps };
    const model = createModel(ENCODER_DECODERS, device, wanted, needs.model, key);
    return new ImageBartObjective(codeGeneratorOptions(needs, stage1, model));
  },
};
