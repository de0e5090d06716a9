/** The settings of an optimiser and its learning rate, and the functions that construct both. */
import * as z from "zod";
import type { Tensor } from "../core/tensor.ts";
import { Adam, AdamW, type Optimizer } from "../nn/optimizers.ts";
import {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  type Schedule,
  withWarmup,
} from "../nn/schedules.ts";

/** Settings of the optimiser and its learning rate. */
export interface OptimizerConfig {
  /** The optimiser. */
  readonly type: "adam" | "adamw";
  /** The base learning rate, which the schedule multiplies. */
  readonly learningRate: number;
  /** Decay of the first moment. */
  readonly beta1: number;
  /** Decay of the second moment. */
  readonly beta2: number;
  /** Added to the denominator. */
  readonly epsilon: number;
  /** Weight decay: adam adds it to the gradient, adamw applies it to the weights. */
  readonly weightDecay: number;
  /** The largest norm of all gradients together; larger gradients are clipped. */
  readonly clipNorm: number | null;
  /** How the learning rate changes over the run. */
  readonly schedule: "constant" | "cosine" | "linear";
  /** How many steps the warm-up has, in which the learning rate rises. */
  readonly warmupSteps: number;
  /** The final learning rate of a schedule, as a share of the base learning rate. */
  readonly floor: number;
}

/** The schema of these settings. */
export const OPTIMIZER_SETTINGS: z.ZodType<OptimizerConfig> = z.strictObject({
  type: z.enum(["adam", "adamw"]).default("adam").describe("the optimiser"),
  learningRate: z.number().positive().default(3e-4).describe(
    "the base learning rate, which the schedule multiplies",
  ),
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the second moment"),
  epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
  weightDecay: z.number().min(0).default(0)
    .describe(
      "weight decay: adam adds it to the gradient, adamw applies it to the weights (default there: 0.01)",
    ),
  clipNorm: z.number().positive().nullable().default(null)
    .describe("the largest norm of all gradients together; larger gradients are clipped"),
  schedule: z.enum(["constant", "cosine", "linear"]).default("constant")
    .describe("how the learning rate changes over the run"),
  warmupSteps: z.int().min(0).default(0)
    .describe("how many steps the warm-up has, in which the learning rate rises"),
  floor: z.number().min(0).max(1).default(0)
    .describe("the final learning rate of a schedule, as a share of the base learning rate"),
}).prefault({});

/** Makes the optimiser of a configuration for some parameters.
 * @param decays the parameters that have weight decay; by default all
 */
export function constructOptimizer(
  config: OptimizerConfig,
  parameters: ReadonlyMap<string, Tensor>,
  decays?: (parameter: Tensor) => boolean,
): Optimizer {
  const { type, beta1, beta2, epsilon, weightDecay } = config;
  const Method = { adam: Adam, adamw: AdamW }[type];
  return new Method(parameters, { beta1, beta2, epsilon, weightDecay, decays });
}

/** The learning rate of every step, counted from 0, of a run with a given number of steps. The schedule covers the
 * steps after the warm-up. */
export function constructLearningRate(config: OptimizerConfig, steps: number): Schedule {
  const { learningRate, schedule, warmupSteps, floor } = config;
  const scheduled = Math.max(1, steps - warmupSteps);
  const factor = withWarmup(
    warmupSteps,
    {
      constant: () => constantSchedule,
      cosine: () => cosineSchedule(scheduled, floor),
      linear: () => linearSchedule(scheduled, floor),
    }[schedule](),
  );
  return (step) => learningRate * factor(step);
}
