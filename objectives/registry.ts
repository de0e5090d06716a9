/** The objectives by name. To add one, add a file in this folder and a line here. */
import * as z from "zod";
import { layoutOf } from "../quantizers/registry.ts";
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings } from "../settings/settings.ts";
import { adversarialKind } from "./adversarial_kind.ts";
import { autoregressionKind } from "./autoregression_kind.ts";
import { diffusionKind } from "./diffusion_kind.ts";
import { imageBartKind } from "./imagebart_kind.ts";
import type { ObjectiveConfig, ObjectiveKind } from "./kind.ts";
import { latentDiffusionKind } from "./latent_diffusion_kind.ts";
import { maskingKind } from "./masking_kind.ts";
import { nextScaleKind } from "./next_scale_kind.ts";
import { reconstructionKind } from "./reconstruction_kind.ts";
import { residualAutoregressionKind } from "./residual_autoregression_kind.ts";

const OBJECTIVES: ReadonlyMap<string, ObjectiveKind> = new Map<string, ObjectiveKind>(
  Object.entries({
    "reconstruction": reconstructionKind,
    "adversarial": adversarialKind,
    "diffusion": diffusionKind as ObjectiveKind,
    "latent-diffusion": latentDiffusionKind as ObjectiveKind,
    "autoregression": autoregressionKind as unknown as ObjectiveKind,
    "masking": maskingKind as unknown as ObjectiveKind,
    "residual-autoregression": residualAutoregressionKind as unknown as ObjectiveKind,
    "imagebart": imageBartKind as unknown as ObjectiveKind,
    "next-scale": nextScaleKind as unknown as ObjectiveKind,
  }),
);

/** The names of the objectives; the first is the default. */
export const OBJECTIVE_TYPES: readonly string[] = [...OBJECTIVES.keys()];

/** The default objective. */
export const DEFAULT_OBJECTIVE: string = OBJECTIVE_TYPES[0];

/** Finds an objective by name.
 * @throws {RangeError} there is no such objective
 */
export function objectiveKind(type: string): ObjectiveKind {
  const kind = OBJECTIVES.get(type);
  if (kind !== undefined) return kind;
  throw new RangeError(
    `Cannot choose an objective: objective.type must name an objective, got "${type}", ${
      suggestName(type, OBJECTIVE_TYPES)
    }`,
  );
}

/** The name of a configuration's objective. */
export function objectiveType(config: unknown): string {
  const { type } = (config ?? {}) as Partial<ObjectiveConfig>;
  return typeof type === "string" ? type : DEFAULT_OBJECTIVE;
}

/** Whether an objective can build on a first stage.
 * @param quantizer the type of the first stage's quantiser; undefined: there is no first stage
 * @throws {RangeError} there is no such objective or no such quantiser
 */
export function takesStage1(objective: string, quantizer: string | undefined): boolean {
  const { stage1 } = objectiveKind(objective);
  if (stage1 === "none" || quantizer === undefined) {
    return stage1 === "none" && quantizer === undefined;
  }
  return stage1 === "features" || stage1 === layoutOf(quantizer);
}

/** Fills in the defaults of sampling settings.
 * @throws {RangeError} there is no such objective, it trains no generator, or a setting is not one of its own
 */
export function readSampling(
  type: string,
  given: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { sampling } = objectiveKind(type);
  if (sampling !== undefined) return readSettings(sampling, given, `sample with ${type}`);
  throw new RangeError(
    `Cannot sample: the run's objective must train a generator, got ${type}`,
  );
}

/** The schema of an objective's configuration: its type and its settings.
 * @param config the configuration, possibly incomplete; only its type is used
 * @throws {RangeError} there is no such objective
 */
export function objectiveSchema(config: unknown): z.ZodType<ObjectiveConfig> {
  const type = objectiveType(config);
  return z.strictObject({
    type: z.enum([...OBJECTIVE_TYPES]).default(type).describe("what a step minimises"),
    ...objectiveKind(type).schema.shape,
  }).prefault({});
}
