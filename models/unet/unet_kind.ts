/** The U-Net in the registry. */
import * as z from "zod";
import type { DenoiserNeeds } from "../denoiser.ts";
import type { ModelKind } from "../kind.ts";
import { CONDITIONINGS, RESAMPLINGS, SMALL_UNET, UNet, type UNetSettings } from "./unet.ts";

/** A U-Net of any size; by default a small one. */
export const unetKind: ModelKind<UNet, DenoiserNeeds, UNetSettings> = {
  schema: z.strictObject({
    width: z.int().min(2).multipleOf(2).default(SMALL_UNET.width)
      .describe("channels of the first level"),
    multipliers: z.array(z.int().min(1)).min(1).default([...SMALL_UNET.multipliers])
      .describe("the channels of each level as multiples of model.width, the finest level first"),
    residualBlocks: z.int().min(1).default(SMALL_UNET.residualBlocks)
      .describe(
        "residual blocks per level of the downsampling path; each level of the upsampling path has one more",
      ),
    attentionAt: z.array(z.int().min(1)).default([...SMALL_UNET.attentionAt])
      .describe(
        "the downsampling factors at which attention follows the residual blocks; the middle block always has attention",
      ),
    headChannels: z.int().min(1).nullable().default(SMALL_UNET.headChannels)
      .describe(
        "channels of an attention head; none: the channels are divided into model.heads heads",
      ),
    heads: z.int().min(1).default(SMALL_UNET.heads)
      .describe("the number of attention heads if model.headChannels is none"),
    groups: z.int().min(1).default(SMALL_UNET.groups).describe("the number of groups of the norms"),
    dropout: z.number().min(0).lt(1).default(SMALL_UNET.dropout)
      .describe("the dropout probability in residual blocks"),
    scaleShift: z.boolean().default(SMALL_UNET.scaleShift)
      .describe(
        "whether the embedding scales and shifts the normalised values in residual blocks instead of being added",
      ),
    resample: z.enum([...RESAMPLINGS]).default(SMALL_UNET.resample)
      .describe(
        "how the network changes the resolution: with a convolution, or inside a residual block",
      ),
    conditioning: z.enum([...CONDITIONINGS]).default(SMALL_UNET.conditioning)
      .describe(
        "how the network is conditioned on the class: a class vector is added to the timestep embedding, or cross-attention attends to it",
      ),
    contextWidth: z.int().min(1).default(SMALL_UNET.contextWidth)
      .describe("the length of the class vector that cross-attention attends to"),
  }),
  make(device, { channels, classes }, settings, key) {
    return new UNet(device, { ...settings, channels, classes, key });
  },
};
