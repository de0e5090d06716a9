/** The networks around a quantiser.
 *
 * @module
 */
export * from "./autoencoder.ts";
export * from "./denoiser.ts";
export * from "./first_stage.ts";
export type { ModelConfig } from "./kind.ts";
export { type AutoencoderNeeds, createAutoencoder } from "./registry.ts";
export { unetFromLdm, unetLayout, unetName } from "./unet/ldm_names.ts";
export { type PartContext, UNetPart } from "./unet/part.ts";
export { TimeEmbedding } from "./unet/time_embedding.ts";
export {
  CONDITIONINGS,
  RESAMPLINGS,
  SMALL_UNET,
  UNet,
  type UNetOptions,
  type UNetSettings,
} from "./unet/unet.ts";
export { VQVAE, type VQVAEOptions } from "./vqvae.ts";
