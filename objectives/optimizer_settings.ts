/** The settings of an optimiser and its learning rate, and what is made of them. */
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
  /** The method. */
  readonly type: "adam" | "adamw";
  /** The rate that the schedule multiplies. */
  readonly learningRate: number;
  /** Decay of the first moment. */
  readonly beta1: number;
  /** Decay of the second moment. */
  readonly beta2: number;
  /** Added to the denominator. */
  readonly epsilon: number;
  /** Added to the gradient by adam, applied to the weights by adamw. */
  readonly weightDecay: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm: number | null;
  /** How the learning rate changes over the run. */
  readonly schedule: "constant" | "cosine" | "linear";
  /** Steps over which the learning rate rises at the start. */
  readonly warmupSteps: number;
  /** The share of the learning rate that a schedule ends with. */
  readonly floor: number;
}

/** The schema of these settings. */
export const OPTIMIZER_SETTINGS: z.ZodType<OptimizerConfig> = z.strictObject({
  type: z.enum(["adam", "adamw"]).default("adam").describe("the method"),
  learningRate: z.number().positive().default(3e-4).describe(
    "the rate that the schedule multiplies",
  ),
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the second moment"),
  epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
  weightDecay: z.number().min(0).default(0)
    .describe("added to the gradient by adam, applied to the weights by adamw (there 0.01)"),
  clipNorm: z.number().positive().nullable().default(null)
    .describe("largest norm of all gradients together"),
  schedule: z.enum(["constant", "cosine", "linear"]).default("constant")
    .describe("how the learning rate changes over the run"),
  warmupSteps: z.int().min(0).default(0)
    .describe("steps over which the learning rate rises at the start"),
  floor: z.number().min(0).max(1).default(0)
    .describe("the share of the learning rate that a schedule ends with"),
}).prefault({});

/** The optimiser of a configuration for some parameters.
 * @param decays which of them the weight decay is for; all by default
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

/** The learning rate of every step, counted from 0, of a run of so many steps; a schedule takes up the steps after
 * the warm-up. */
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
