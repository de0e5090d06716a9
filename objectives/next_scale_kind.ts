/** Next-scale prediction in the registry. */
import { randomKey } from "../core/random.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { createModel, SCALE_TRANSFORMERS } from "../models/registry.ts";
import { MultiScaleQuantizer } from "../quantizers/multi_scale.ts";
import { NormalizedQuantizer } from "../quantizers/normalized.ts";
import {
  codeGeneratorOptions,
  codeGeneratorSchema,
  type CodeGeneratorSettings,
  codeModelNeeds,
} from "./code_generator_kind.ts";
import { CODE_SAMPLING } from "./code_sampling.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";
import { NextScaleObjective } from "./next_scale.ts";

/** The quantiser of a first stage that codes grids scale by scale, one code per position.
 * @throws {RangeError} the first stage has another quantiser
 */
function multiScaleOf({ network }: FirstStage): MultiScaleQuantizer {
  const whole = network.quantizer;
  const quantizer = whole instanceof NormalizedQuantizer ? whole.inner : whole;
  if (quantizer instanceof MultiScaleQuantizer && quantizer.codeAxes.length === 1) return quantizer;
  throw new RangeError(
    "Cannot make a next-scale model: the first stage must have a multi-scale quantizer with one code per position " +
      "(--quantizer.type multi-scale), got another",
  );
}

/** Next-scale prediction, with a transformer and one optimiser. */
export const nextScaleKind: ObjectiveKind<CodeGeneratorSettings> = {
  description: "predict all codes of a scale of a multi-scale first stage from the scales before",
  schema: codeGeneratorSchema(0),
  models: SCALE_TRANSFORMERS,
  quantizes: false,
  stage1: "scales",
  sampling: CODE_SAMPLING,
  make(device, needs) {
    const stage1 = firstStageOf(needs, "codes");
    const quantizer = multiScaleOf(stage1), { codebookDim, scales } = quantizer;
    const key = randomKey(needs.seed, "initial model");
    const wanted = { ...codeModelNeeds(needs, stage1), codebookDim, scales };
    const model = createModel(SCALE_TRANSFORMERS, device, wanted, needs.model, key);
    return new NextScaleObjective({ ...codeGeneratorOptions(needs, stage1, model), quantizer });
  },
};
