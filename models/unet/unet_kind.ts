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
      .describe("of each level, how many times the first one's channels it has"),
    residualBlocks: z.int().min(1).default(SMALL_UNET.residualBlocks)
      .describe("residual blocks a level on the way down; one more on the way up"),
    attentionAt: z.array(z.int().min(1)).default([...SMALL_UNET.attentionAt])
      .describe("the downsamplings that have attention; the middle always has it"),
    headChannels: z.int().min(1).nullable().default(SMALL_UNET.headChannels)
      .describe("channels of an attention head; none: model.heads share the channels"),
    heads: z.int().min(1).default(SMALL_UNET.heads)
      .describe("attention heads, without model.headChannels"),
    groups: z.int().min(1).default(SMALL_UNET.groups).describe("groups of the norms"),
    dropout: z.number().min(0).lt(1).default(SMALL_UNET.dropout)
      .describe("the probability that a residual block drops an element"),
    scaleShift: z.boolean().default(SMALL_UNET.scaleShift)
      .describe("whether times scale and shift what residual blocks normalise"),
    resample: z.enum([...RESAMPLINGS]).default(SMALL_UNET.resample)
      .describe("how it goes to the next resolution: by a convolution, or in a residual block"),
    conditioning: z.enum([...CONDITIONINGS]).default(SMALL_UNET.conditioning)
      .describe("how it is told the class: by a vector added to the time's, or by attention"),
    contextWidth: z.int().min(1).default(SMALL_UNET.contextWidth)
      .describe("elements of the vector that cross-attention attends to"),
  }),
  make(device, { channels, classes }, settings, key) {
    return new UNet(device, { ...settings, channels, classes, key });
  },
};
