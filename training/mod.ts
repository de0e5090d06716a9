/** Configurations, the training loop, checkpoints and the folder of a run.
 *
 * @module
 */
export {
  type Config,
  configSettings,
  datasetDefaults,
  quantizerDefaults,
  type TrainingConfig,
} from "./config.ts";
export * from "./construct.ts";
export * from "./identity.ts";
export * from "./open_run.ts";
export * from "./presets.ts";
export { type ConfigSources, type PartialConfig, resolveConfig } from "./resolve.ts";
export * from "./folder_evaluation.ts";
export * from "./image_evaluation.ts";
export * from "./run_evaluation.ts";
export { type RunRecord } from "./run_record.ts";
export * from "./tensorboard/events.ts";
export * from "./checkpoint.ts";
export { DivergedError } from "./diverged.ts";
export * from "./run_folder.ts";
export { DamagedFileError } from "./read_back.ts";
export * from "./trainer.ts";
