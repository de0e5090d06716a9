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
export {
  type Communicator,
  gatherTexts,
  isAnyRank,
  type Numbers,
} from "./distributed/communicator.ts";
export { type MpiOptions, openMpi } from "./distributed/mpi.ts";
export {
  findLaunch,
  findMpi,
  type Launch,
  type Mpi,
  MPI_VARIABLES,
} from "./distributed/mpi_library.ts";
export { type ReplicaOptions, replicasOver } from "./distributed/replicas.ts";
export { checkSameOnAll } from "./distributed/same_on_all.ts";
export { SingleCommunicator } from "./distributed/single.ts";
export * from "./identity.ts";
export * from "./memory_plan.ts";
export * from "./open_run.ts";
export { writeModelFolder } from "./model_folder.ts";
export type { ImportedWeights, ImportSources } from "./pretrained/import_first_stage.ts";
export * from "./pretrained/import_run.ts";
export type { LeftOut } from "./pretrained/weights.ts";
export { type LdmConfig, readLdmConfig } from "./pretrained/ldm_config.ts";
export * from "./pretrained/export_run.ts";
export { exportOnnx, type ImageSize, type OnnxOptions } from "./onnx/export_onnx.ts";
export * from "./open_generator.ts";
export * from "./generator_evaluation.ts";
export * from "./codes_file.ts";
export * from "./presets.ts";
export { type ConfigSources, type PartialConfig, resolveConfig } from "./resolve.ts";
export * from "./folder_evaluation.ts";
export * from "./image_evaluation.ts";
export * from "./learnt_features.ts";
export * from "./run_evaluation.ts";
export { type RunRecord } from "./run_record.ts";
export * from "./tensorboard/events.ts";
export * from "./checkpoint.ts";
export { DivergedError } from "./diverged.ts";
export { ReadOnlyRunFolder } from "./read_only_run_folder.ts";
export * from "./run_folder.ts";
export { DamagedFileError } from "./read_back.ts";
export { type EvaluatedNumber, type RunCosts, type RunSummary } from "./run_files.ts";
export * from "./trainer.ts";
