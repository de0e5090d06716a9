/** The networks around a quantiser.
 *
 * @module
 */
export * from "./autoencoder.ts";
export * from "./denoiser.ts";
export * from "./first_stage.ts";
export type { ModelConfig } from "./kind.ts";
export { type AutoencoderNeeds, createAutoencoder } from "./registry.ts";
export {
  CodeTransformer,
  type CodeTransformerInput,
  type CodeTransformerNeeds,
  type CodeTransformerOptions,
  type CodeTransformerSettings,
} from "./transformer/code_transformer.ts";
export {
  EncoderDecoder,
  EncoderDecoderChain,
  type EncoderDecoderChainNeeds,
  type EncoderDecoderChainOptions,
  type EncoderDecoderNeeds,
  type EncoderDecoderOptions,
  type EncoderDecoderSettings,
} from "./transformer/encoder_decoder.ts";
export {
  ResidualTransformer,
  type ResidualTransformerInput,
  type ResidualTransformerNeeds,
  type ResidualTransformerOptions,
  type ResidualTransformerSettings,
} from "./transformer/residual_transformer.ts";
export {
  ScaleTransformer,
  type ScaleTransformerInput,
  type ScaleTransformerNeeds,
  type ScaleTransformerOptions,
  type ScaleTransformerSettings,
} from "./transformer/scale_transformer.ts";
export type { FeedForwardType } from "./transformer/feed_forward.ts";
export {
  type BlockInput,
  type BlockSettings,
  StackCache,
  type StackInput,
  type StackOptions,
  TransformerBlock,
  TransformerStack,
} from "./transformer/stack.ts";
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
export { TiledFirstStage, type TiledValues } from "./tiled_first_stage.ts";
export { type Tiling, USUAL_TILING } from "./tiles.ts";
export { VQVAE, type VQVAEOptions } from "./vqvae.ts";
export { VQGAN, type VQGANNorm, type VQGANOptions, type VQGANSettings } from "./vqgan/vqgan.ts";
export { type LevelSettings } from "./vqgan/levels.ts";
export * from "./discriminator.ts";
