/** The flags that choose the weights of a run. */
import * as z from "zod";
import { WEIGHTS } from "../training/construct.ts";

/** The flags for the checkpoint, and for its trained or averaged weights. */
export const WEIGHTS_OPTIONS = {
  checkpoint: z.string().min(1).default("last")
    .describe("last, best, or the path of a file"),
  weights: z.enum(WEIGHTS).default("auto")
    .describe("the trained weights or their averages; auto: the averages if there are any"),
};
