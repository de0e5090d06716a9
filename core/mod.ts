/** Tensors, their operations and gradients, random numbers, and the devices that compute.
 *
 * @module
 */
export * from "./shape.ts";
export * from "./random.ts";
export * from "./host_tensor.ts";
export * from "./dry_run.ts";
export * from "./memory_watch.ts";
export { type Precision, PRECISIONS } from "./precision.ts";
export type {
  Backend,
  Buffer,
  DeviceName,
  HostArray,
  HostView,
  Kernel,
  KernelClock,
  Kernels,
  Span,
  View,
} from "./backend.ts";
export {
  type Apply,
  type ApplyAll,
  type AttentionAttributes,
  type AttentionName,
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
} from "./ops.ts";
export {
  type CheckpointNode,
  Device,
  type ForeignNode,
  type OperationNode,
  type Recorded,
  Scope,
  type TapeNode,
  Tensor,
  type Watcher,
} from "./tensor.ts";
export { checkpoint } from "./checkpoint.ts";
export {
  apply,
  assign,
  backward,
  type BackwardOptions,
  detach,
  execute,
  parameter,
  recordForeign,
  straightThrough,
  withoutGradients,
} from "./execute.ts";
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
} from "./device.ts";
export * from "./cost.ts";
export * from "./profile.ts";
export * from "./trace.ts";
export * from "./functions/attention.ts";
export * from "./functions/creation.ts";
export * from "./functions/elementwise.ts";
export * from "./functions/indexing.ts";
export * from "./functions/movement.ts";
export * from "./functions/normalization.ts";
export * from "./functions/products.ts";
export * from "./functions/reductions.ts";
