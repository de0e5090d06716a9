/** The networks around a quantiser.
 *
 * @module
 */
export * from "./autoencoder.ts";
export * from "./first_stage.ts";
export type { ModelConfig } from "./kind.ts";
export { type AutoencoderNeeds, createAutoencoder } from "./registry.ts";
export { VQVAE, type VQVAEOptions } from "./vqvae.ts";
export { VQGAN, type VQGANNorm, type VQGANOptions, type VQGANSettings } from "./vqgan/vqgan.ts";
export { type LevelSettings } from "./vqgan/levels.ts";
export { type SideOptions, VQGANEncoder } from "./vqgan/encoder.ts";
export { VQGANDecoder } from "./vqgan/decoder.ts";
export * from "./discriminator.ts";
