/** What a run minimises and how it is evaluated.
 *
 * @module
 */
export * from "./objective.ts";
export * from "./web.ts";
export type { Rows } from "./gather_rows.ts";
export * from "./generator.ts";
export * from "./trace.ts";
export type { ObjectiveConfig, ObjectiveNeeds } from "./kind.ts";
export {
  constructLearningRate,
  constructOptimizer,
  type OptimizerConfig,
} from "./optimizer_settings.ts";
export { DEFAULT_OBJECTIVE, OBJECTIVE_TYPES } from "./registry.ts";
export * from "./protocol.ts";
export * from "./first_stage.ts";
export * from "./adversarial.ts";
export * from "./adversarial_losses.ts";
export * from "./differentiable_augmentation.ts";
export * from "./reconstruction.ts";
export * from "./training_pass.ts";
export * from "./training_step.ts";
export * from "./evaluate_model.ts";
export * from "./codebook_watch.ts";
export { drawImages, type GridOptions } from "./image_grid.ts";
export { type Corner, type ImageShape } from "./picture.ts";
export * from "./sample_grid.ts";
export { AutoregressionObjective } from "./autoregression.ts";
export {
  CodeGenerator,
  type CodeGeneratorOptions,
  type CodeLosses,
  type CodeModel,
  type CodeRequest,
  type EncodedCodes,
  type LossOptions,
} from "./code_generator.ts";
export type { CodeSamplingSettings, SamplingReader } from "./code_sampling.ts";
export * from "./code_statistics.ts";
export { type MaskedSamplingSettings, MaskingObjective } from "./masking.ts";
export { drawMask } from "./masks.ts";
export type { MaskedSettings } from "./samplers/masked.ts";
export { ImageBartObjective } from "./imagebart.ts";
export {
  ResidualAutoregressionObjective,
  type ResidualAutoregressionOptions,
} from "./residual_autoregression.ts";
export { NextScaleObjective, type NextScaleOptions } from "./next_scale.ts";
export * from "./diffusion.ts";
export { type Cache, CACHE_PLACES, type CachePlace, CACHES } from "./cached_encodings.ts";
export * from "./diffusion/multinomial.ts";
export { type DiffusionSampling } from "./diffusion/sampling.ts";
export * from "./samplers/ddpm.ts";
export * from "./samplers/dpm_solver.ts";
export { createSampler, type SamplerSettings } from "./samplers/registry.ts";
