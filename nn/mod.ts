/** Layers, losses, optimisers, schedules, and the modules that hold parameters.
 *
 * @module
 */
export * from "./attention.ts";
export * from "./attention_cache.ts";
export * from "./averaged_weights.ts";
export * from "./batch_norm.ts";
export * from "./convolution.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./gradients.ts";
export * from "./initializers.ts";
export * from "./linear.ts";
export * from "./losses.ts";
export * from "./module.ts";
export * from "./normalization.ts";
export * from "./optimizers.ts";
export * from "./projected_cross_entropy.ts";
export * from "./replicas.ts";
export * from "./resampling.ts";
export * from "./rotary.ts";
export * from "./schedules.ts";
export * from "./soft_cross_entropy.ts";
export * from "./summary.ts";
export * from "./update.ts";
