/** What a run minimises and how it is judged.
 *
 * @module
 */
export * from "./objective.ts";
export * from "./generator.ts";
export type { ObjectiveConfig } from "./kind.ts";
export {
  constructLearningRate,
  constructOptimizer,
  type OptimizerConfig,
} from "./optimizer_settings.ts";
export { DEFAULT_OBJECTIVE, OBJECTIVE_TYPES } from "./registry.ts";
export * from "./protocol.ts";
export * from "./reconstruction.ts";
export * from "./training_step.ts";
export * from "./evaluate_model.ts";
export * from "./codebook_watch.ts";
export * from "./sample_grid.ts";
export { AutoregressionObjective } from "./autoregression.ts";
export {
  CodeGenerator,
  type CodeGeneratorOptions,
  type CodeLosses,
  type CodeModel,
  type CodeRequest,
  type CodeSamplingSettings,
  type LossOptions,
} from "./code_generator.ts";
export * from "./code_statistics.ts";
export * from "./image_grid.ts";
export { type MaskedSamplingSettings, MaskingObjective } from "./masking.ts";
export { drawMask } from "./masks.ts";
export { ResidualAutoregressionObjective } from "./residual_autoregression.ts";
export * from "./samplers/guidance.ts";
export {
  type Choice,
  type ChoiceSettings,
  chooseCode,
  type Draw,
  drawOf,
} from "./samplers/choice.ts";
