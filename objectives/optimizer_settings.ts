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
  /** The base learning rate, before the schedule's factor. */
  readonly learningRate: number;
  /** Decay of the first moment. */
  readonly beta1: number;
  /** Decay of the second moment. */
  readonly beta2: number;
  /** Added to the denominator. */
  readonly epsilon: number;
  /** Weight decay: adam adds it to the gradient, adamw applies it to the weights. */
  readonly weightDecay: number;
  /** The maximum global norm of the gradients (gradient clipping). */
  readonly clipNorm: number | null;
  /** The learning-rate schedule. */
  readonly schedule: "constant" | "cosine" | "linear";
  /** The number of warm-up steps, in which the learning rate rises linearly. */
  readonly warmupSteps: number;
  /** The final learning rate of a schedule, as a fraction of the base learning rate. */
  readonly floor: number;
}

/** The schema of these settings. */
export const OPTIMIZER_SETTINGS: z.ZodType<OptimizerConfig> = z.strictObject({
  type: z.enum(["adam", "adamw"]).default("adam").describe("the optimiser"),
  learningRate: z.number().positive().default(3e-4).describe(
    "the base learning rate, before the schedule's factor",
  ),
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the second moment"),
  epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
  weightDecay: z.number().min(0).default(0)
    .describe(
      "weight decay: adam adds it to the gradient, adamw applies it to the weights (default there: 0.01)",
    ),
  clipNorm: z.number().positive().nullable().default(null)
    .describe("the maximum global norm of the gradients (gradient clipping)"),
  schedule: z.enum(["constant", "cosine", "linear"]).default("constant")
    .describe("the learning-rate schedule"),
  warmupSteps: z.int().min(0).default(0)
    .describe("the number of warm-up steps, in which the learning rate rises linearly"),
  floor: z.number().min(0).max(1).default(0)
    .describe("the final learning rate of a schedule, as a fraction of the base learning rate"),
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
