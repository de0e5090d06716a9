/** Layers, losses, optimisers, schedules, and the modules that hold parameters.
 *
 * @module
 */
export * from "./convolution.ts";
export * from "./gradients.ts";
export * from "./initializers.ts";
export * from "./linear.ts";
export * from "./losses.ts";
export * from "./module.ts";
export * from "./normalization.ts";
export * from "./optimizers.ts";
export * from "./schedules.ts";
export * from "./summary.ts";
