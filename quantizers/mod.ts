/** Every method of vector quantisation, by class and by name.
 *
 * @module
 */
export * from "./quantizer.ts";
export * from "./codebook_losses.ts";
export * from "./masks.ts";
export * from "./estimators.ts";
export * from "./kmeans.ts";
export * from "./kmeans_plus_plus.ts";
export * from "./replacement.ts";
export * from "./orthogonality.ts";
export * from "./codebook.ts";
export { type VanillaOptions, VanillaQuantizer, type VanillaSettings } from "./vanilla.ts";
export * from "./anchors.ts";
export * from "./contrastive.ts";
export { type ClusteredOptions, ClusteredQuantizer, type ClusteredSettings } from "./clustered.ts";
export { type EmaOptions, EmaQuantizer, type EmaSettings } from "./ema.ts";
export { type NearCodesOptions, NearCodesQuantizer, type NearCodesSettings } from "./near_codes.ts";
export {
  type HardFeaturesOptions,
  HardFeaturesQuantizer,
  type HardFeaturesSettings,
} from "./hard_features.ts";
export {
  type ClusteredEmaOptions,
  ClusteredEmaQuantizer,
  type ClusteredEmaSettings,
} from "./clustered_ema.ts";
export { type AnchorUpdate, Reanchoring, type ReanchoringOptions } from "./reanchoring.ts";
export {
  BatchNormalization,
  DeviationScaling,
  FeatureNormalization,
} from "./feature_normalization.ts";
export { type NormalizationSettings, NormalizedQuantizer } from "./normalized.ts";
export { type PerturbationSettings, PerturbedCodes } from "./perturbed.ts";
export { CodeWarmup, type WarmupSettings } from "./code_warmup.ts";
export { OutputWrapper, WrappedQuantizer } from "./wrapped.ts";
export { type LookupSettings, ProjectedQuantizer } from "./projected.ts";
export { digitsToIndices, indicesToDigits } from "./mixed_radix.ts";
export { FSQQuantizer, type FSQSettings } from "./fsq.ts";
export { LFQQuantizer, type LFQSettings } from "./lfq.ts";
export { gumbelNoise, uniformDivergence } from "./gumbel_softmax.ts";
export { type GumbelOptions, GumbelQuantizer, type GumbelSettings } from "./gumbel.ts";
export { type SQOptions, SQQuantizer, type SQSettings, type VarianceType } from "./sq.ts";
export { type SimVQOptions, SimVQQuantizer, type SimVQSettings } from "./simvq.ts";
export { transportCost, type TransportOptions } from "./sinkhorn.ts";
export { type VQWAEOptions, VQWAEQuantizer, type VQWAESettings } from "./vq_wae.ts";
export {
  type CodebookSettings,
  type CodebookSizes,
  type Initialization,
  INITIALIZATIONS,
} from "./method.ts";
export { type CompositeOptions, CompositeQuantizer } from "./composite.ts";
export { type ResidualOptions, ResidualQuantizer, type ResidualSettings } from "./residual.ts";
export { type ProductOptions, ProductQuantizer, type ProductSettings } from "./product.ts";
export {
  type MultiScaleOptions,
  MultiScaleQuantizer,
  type MultiScaleSettings,
} from "./multi_scale.ts";
export {
  createQuantizer,
  DEFAULT_QUANTIZER,
  QUANTIZER_TYPES,
  type QuantizerConfig,
} from "./registry.ts";
export type * from "./method_settings.ts";
