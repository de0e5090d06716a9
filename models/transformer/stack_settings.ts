/** The settings that all transformers have in common, as schemas. */
import * as z from "zod";
import { FEED_FORWARDS } from "./feed_forward.ts";
import { NORMS } from "./stack.ts";

/** The width of the tokens. */
export const WIDTH = z.int().min(1).default(128).describe("the width of the tokens, in channels");

/** The number of blocks, of a transformer with one stack. */
export const LAYERS = z.int().min(1).default(4).describe("the number of transformer blocks");

/** Heads and dropout of every block. */
export const HEADS_AND_DROPOUT = {
  heads: z.int().min(1).default(4).describe("the number of heads of each attention layer"),
  dropout: z.number().min(0).lt(1).default(0.1).describe(
    "the dropout rate",
  ),
};

/** The kind of every block. */
export const BLOCK_KIND = {
  norm: z.enum([...NORMS]).default("layer").describe(
    "the norm of the tokens: layer norm or RMS norm",
  ),
  feedForward: z.enum([...FEED_FORWARDS]).default("gelu").describe(
    "the feed-forward layer after the attention",
  ),
  queryKeyNorm: z.boolean().default(false).describe("whether queries and keys are normalised"),
};
