/** Codebook: vector-quantised representation learning on Deno, with WebGPU and WebAssembly compute cores.
 *
 * @module
 */
export * from "./core/shape.ts";
export * from "./core/random.ts";
export {
  fromJsonNumber,
  type JsonNumber,
  readyForJson,
  toJsonNumber,
} from "./files/json_number.ts";
export * from "./files/pytorch_file.ts";
export * from "./files/pytorch_writer.ts";
export * from "./core/host_tensor.ts";
export * from "./files/safetensors.ts";
export { type Precision, PRECISIONS } from "./core/precision.ts";
export { type Setting } from "./settings/settings.ts";
export type {
  Backend,
  Buffer,
  DeviceName,
  HostArray,
  Kernel,
  KernelClock,
  Kernels,
  Span,
  View,
} from "./core/backend.ts";
export {
  type Apply,
  type AttentionAttributes,
  type AttentionName,
  type AttentionOperand,
  type Attributes,
  type ConvAttributes,
  type CrossEntropyName,
  type Distance,
  type ElementwiseName,
  type GradientCall,
  type GroupNormAttributes,
  type MaxPoolName,
  type MovementName,
  type None,
  type NormalizationName,
  type Operation,
  type OperationName,
  operations,
  type Pair,
  type PoolAttributes,
  type ViewName,
} from "./core/ops.ts";
export {
  type CheckpointNode,
  Device,
  type OperationNode,
  type Recorded,
  Scope,
  type TapeNode,
  Tensor,
  type Watcher,
} from "./core/tensor.ts";
export { checkpoint } from "./core/checkpoint.ts";
export {
  apply,
  assign,
  backward,
  type BackwardOptions,
  detach,
  execute,
  parameter,
  straightThrough,
  withoutGradients,
} from "./core/execute.ts";
export {
  type AdapterLimits,
  type AdapterReport,
  DEVICE_CHOICES,
  type DeviceChoice,
  type DeviceOptions,
  type DeviceReport,
  keepTilings,
  openDevice,
  surveyDevices,
  type TilingNames,
  type TilingReport,
} from "./core/device.ts";
export * from "./core/cost.ts";
export * from "./core/profile.ts";
export * from "./core/trace.ts";
export * from "./core/functions/attention.ts";
export * from "./core/functions/creation.ts";
export * from "./core/functions/elementwise.ts";
export * from "./core/functions/indexing.ts";
export * from "./core/functions/movement.ts";
export * from "./core/functions/normalization.ts";
export * from "./core/functions/products.ts";
export * from "./core/functions/reductions.ts";
export * from "./nn/attention.ts";
export * from "./nn/batch_norm.ts";
export * from "./nn/convolution.ts";
export * from "./nn/dropout.ts";
export * from "./nn/embedding.ts";
export * from "./nn/gradients.ts";
export * from "./nn/initializers.ts";
export * from "./nn/linear.ts";
export * from "./nn/losses.ts";
export * from "./nn/module.ts";
export * from "./nn/normalization.ts";
export * from "./nn/optimizers.ts";
export * from "./nn/schedules.ts";
export * from "./nn/averaged_weights.ts";
export * from "./nn/update.ts";
export * from "./quantizers/quantizer.ts";
export * from "./quantizers/codebook_losses.ts";
export * from "./quantizers/masks.ts";
export * from "./quantizers/estimators.ts";
export * from "./quantizers/kmeans.ts";
export * from "./quantizers/kmeans_plus_plus.ts";
export * from "./quantizers/replacement.ts";
export * from "./quantizers/orthogonality.ts";
export * from "./quantizers/codebook.ts";
export {
  type VanillaOptions,
  VanillaQuantizer,
  type VanillaSettings,
} from "./quantizers/vanilla.ts";
export * from "./quantizers/anchors.ts";
export * from "./quantizers/contrastive.ts";
export {
  type ClusteredOptions,
  ClusteredQuantizer,
  type ClusteredSettings,
} from "./quantizers/clustered.ts";
export { type EmaOptions, EmaQuantizer, type EmaSettings } from "./quantizers/ema.ts";
export {
  type NearCodesOptions,
  NearCodesQuantizer,
  type NearCodesSettings,
} from "./quantizers/near_codes.ts";
export {
  type HardFeaturesOptions,
  HardFeaturesQuantizer,
  type HardFeaturesSettings,
} from "./quantizers/hard_features.ts";
export {
  type ClusteredEmaOptions,
  ClusteredEmaQuantizer,
  type ClusteredEmaSettings,
} from "./quantizers/clustered_ema.ts";
export {
  type AnchorUpdate,
  Reanchoring,
  type ReanchoringOptions,
} from "./quantizers/reanchoring.ts";
export {
  BatchNormalization,
  DeviationScaling,
  FeatureNormalization,
} from "./quantizers/feature_normalization.ts";
export { type NormalizationSettings, NormalizedQuantizer } from "./quantizers/normalized.ts";
export { CodeWarmup, type WarmupSettings } from "./quantizers/code_warmup.ts";
export { WrappedQuantizer } from "./quantizers/wrapped.ts";
export { type LookupSettings, ProjectedQuantizer } from "./quantizers/projected.ts";
export { digitsToIndices, indicesToDigits } from "./quantizers/mixed_radix.ts";
export { FSQQuantizer, type FSQSettings } from "./quantizers/fsq.ts";
export { LFQQuantizer, type LFQSettings } from "./quantizers/lfq.ts";
export { gumbelNoise, uniformDivergence } from "./quantizers/gumbel_softmax.ts";
export { type GumbelOptions, GumbelQuantizer, type GumbelSettings } from "./quantizers/gumbel.ts";
export {
  type SQOptions,
  SQQuantizer,
  type SQSettings,
  type VarianceType,
} from "./quantizers/sq.ts";
export { type SimVQOptions, SimVQQuantizer, type SimVQSettings } from "./quantizers/simvq.ts";
export { transportCost, type TransportOptions } from "./quantizers/sinkhorn.ts";
export { type VQWAEOptions, VQWAEQuantizer, type VQWAESettings } from "./quantizers/vq_wae.ts";
export {
  type CodebookSettings,
  type CodebookSizes,
  type Initialization,
  INITIALIZATIONS,
} from "./quantizers/method.ts";
export { type CompositeOptions, CompositeQuantizer } from "./quantizers/composite.ts";
export {
  type ResidualOptions,
  ResidualQuantizer,
  type ResidualSettings,
} from "./quantizers/residual.ts";
export {
  type ProductOptions,
  ProductQuantizer,
  type ProductSettings,
} from "./quantizers/product.ts";
export {
  createQuantizer,
  DEFAULT_QUANTIZER,
  QUANTIZER_TYPES,
  type QuantizerConfig,
} from "./quantizers/registry.ts";
export type * from "./quantizers/method_settings.ts";
export * from "./models/autoencoder.ts";
export * from "./models/first_stage.ts";
export { type ModelConfig, type ModelKind, type ModelTable } from "./models/kind.ts";
export * from "./models/registry.ts";
export { VQVAE, type VQVAEOptions } from "./models/vqvae.ts";
export {
  VQGAN,
  type VQGANNorm,
  type VQGANOptions,
  type VQGANSettings,
} from "./models/vqgan/vqgan.ts";
export { type LevelSettings } from "./models/vqgan/levels.ts";
export * from "./models/discriminator.ts";
export * from "./objectives/objective.ts";
export type * from "./objectives/kind.ts";
export {
  constructLearningRate,
  constructOptimizer,
  type OptimizerConfig,
} from "./objectives/optimizer_settings.ts";
export { DEFAULT_OBJECTIVE, OBJECTIVE_TYPES, objectiveKind } from "./objectives/registry.ts";
export * from "./metrics/class_share.ts";
export * from "./metrics/codebook.ts";
export * from "./metrics/digit_features.ts";
export * from "./metrics/feature_metrics.ts";
export * from "./metrics/feature_statistics.ts";
export * from "./metrics/frechet.ts";
export * from "./metrics/image_metric.ts";
export { type Images } from "./metrics/images.ts";
export * from "./metrics/inception_score.ts";
export * from "./metrics/kernel_distance.ts";
export * from "./metrics/lpips.ts";
export * from "./metrics/mae.ts";
export * from "./metrics/ms_ssim.ts";
export {
  INCEPTION_FILE,
  type MetricKind,
  type MetricOptions,
  type SharedDigits,
  type SharedInception,
  SharedNetworks,
} from "./metrics/metric_kinds.ts";
export * from "./metrics/mse.ts";
export { AlexNet } from "./metrics/networks/alexnet.ts";
export { InceptionV3 } from "./metrics/networks/inception.ts";
export { type FrozenConvolution } from "./metrics/networks/layers.ts";
export { resizeBilinear } from "./metrics/networks/resize.ts";
export { SqueezeNet } from "./metrics/networks/squeezenet.ts";
export { Vgg16 } from "./metrics/networks/vgg16.ts";
export * from "./metrics/networks/weights.ts";
export * from "./metrics/precision_recall.ts";
export * from "./metrics/psnr.ts";
export * from "./metrics/psnr_metrics.ts";
export * from "./metrics/reconstruction.ts";
export * from "./metrics/registry.ts";
export { imageSsim, type SsimOptions } from "./metrics/ssim.ts";
export * from "./metrics/statistics_file.ts";
export type { Dataset, SequenceOptions, Split } from "./data/dataset.ts";
export * from "./data/memory.ts";
export { byteDataset, type ByteDatasetOptions } from "./data/bytes.ts";
export { digitLabels, openDigits } from "./data/digits.ts";
export * from "./data/image_pairs.ts";
export * from "./data/batches.ts";
export type { OpenOptions } from "./data/kind.ts";
export { drawShape, type ShapeFactors, shapeFactors } from "./data/shapes.ts";
export {
  DATASET_NAMES,
  type DatasetConfig,
  DEFAULT_DATASET,
  openDataset,
} from "./data/registry.ts";
export {
  type Config,
  configSettings,
  datasetDefaults,
  quantizerDefaults,
  type TrainingConfig,
} from "./training/config.ts";
export * from "./training/construct.ts";
export * from "./training/open_run.ts";
export * from "./training/pretrained/import_run.ts";
export * from "./training/pretrained/export_run.ts";
export * from "./training/identity.ts";
export * from "./training/presets.ts";
export * from "./objectives/protocol.ts";
export { type ConfigSources, resolveConfig } from "./training/resolve.ts";
export * from "./objectives/first_stage.ts";
export * from "./objectives/reconstruction.ts";
export * from "./objectives/adversarial.ts";
export * from "./objectives/adversarial_losses.ts";
export * from "./objectives/training_step.ts";
export * from "./objectives/evaluate_model.ts";
export * from "./training/folder_evaluation.ts";
export * from "./training/image_evaluation.ts";
export * from "./training/run_evaluation.ts";
export * from "./reports/run_report.ts";
export { type RunRecord } from "./training/run_record.ts";
export * from "./training/tensorboard/events.ts";
export * from "./training/checkpoint.ts";
export { DivergedError } from "./training/diverged.ts";
export * from "./objectives/codebook_watch.ts";
export * from "./objectives/sample_grid.ts";
export * from "./training/run_folder.ts";
export { DamagedFileError } from "./training/read_back.ts";
export * from "./training/trainer.ts";
export * from "./studies/study.ts";
export * from "./studies/measures.ts";
export { type PlannedRun, type PlanOptions, planRuns } from "./studies/plan.ts";
export type { StudyRun, StudyRunState } from "./studies/records.ts";
export type { Damage } from "./studies/damage.ts";
export * from "./studies/run_study.ts";
export * from "./studies/collect_study.ts";
export type { Launcher, StudyWork } from "./studies/launchers/launcher.ts";
export * from "./studies/launchers/local.ts";
export * from "./studies/launchers/slurm.ts";
export * from "./studies/launchers/kubernetes.ts";
export * from "./studies/launchers/print.ts";
export * from "./studies/tables.ts";
export { drawStudy } from "./studies/page.ts";
export { readTrace, type RunTrace } from "./studies/traces.ts";
