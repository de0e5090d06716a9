/** The networks around a quantiser.
 *
 * @module
 */
export * from "./autoencoder.ts";
export * from "./first_stage.ts";
export type { ModelConfig } from "./kind.ts";
export { type AutoencoderNeeds, createAutoencoder } from "./registry.ts";
export { VQVAE, type VQVAEOptions } from "./vqvae.ts";
