/** Configurations, the training loop, checkpoints and the folder of a run.
 *
 * @module
 */
export {
  type Config,
  configSettings,
  datasetDefaults,
  type ModelConfig,
  type OptimizerConfig,
  quantizerDefaults,
  type TrainingConfig,
} from "./config.ts";
export * from "./construct.ts";
export * from "./identity.ts";
export * from "./presets.ts";
export * from "./protocol.ts";
export { type ConfigSources, type PartialConfig, resolveConfig } from "./resolve.ts";
export * from "./step.ts";
export * from "./evaluation.ts";
export * from "./folder_evaluation.ts";
export * from "./image_evaluation.ts";
export * from "./run_evaluation.ts";
export { type RunRecord } from "./run_record.ts";
export * from "./tensorboard/events.ts";
export * from "./checkpoint.ts";
export {
  type Carried,
  DivergedError,
  SCALAR_NAMES,
  type ScalarName,
  type StepScalars,
} from "./carried.ts";
export * from "./codebook_watch.ts";
export * from "./sample_grid.ts";
export * from "./run_folder.ts";
export { DamagedFileError } from "./read_back.ts";
export * from "./trainer.ts";
