/** The registry's entry for an objective: its settings, its models, and its constructor. */
import type * as z from "zod";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import type { ModelConfig, ModelTable } from "../models/kind.ts";
import type { Module } from "../nn/module.ts";
import type { CodeLayout } from "../quantizers/method.ts";
import type { QuantizerConfig } from "../quantizers/registry.ts";
import type { Objective } from "./objective.ts";
import type { OptimizerConfig } from "./optimizer_settings.ts";

/** What a registry entry needs to make an objective. */
export interface ObjectiveNeeds<Settings extends object = object> {
  /** The seed of the initial weights. */
  readonly seed: number;
  /** The images. */
  readonly dataset: Dataset;
  /** The objective's own settings, checked. */
  readonly settings: Settings;
  /** The model's settings. */
  readonly model: ModelConfig;
  /** The quantiser's settings; missing if the objective trains no quantiser. */
  readonly quantizer?: QuantizerConfig;
  /** The optimiser's settings. */
  readonly optimizer: OptimizerConfig;
  /** Whether the backward pass recomputes values instead of keeping them, to save memory, if the model can. */
  readonly recompute?: boolean;
  /** Steps in the whole run. */
  readonly steps: number;
  /** How many parts a step splits its batch into; 1 if the objective cannot split it. */
  readonly accumulate: number;
  /** Steps in an epoch. */
  readonly stepsPerEpoch: number;
  /** The finished first stage, if the objective builds on one. */
  readonly stage1?: FirstStage;
  /** Whether frozen networks get zeros as weights, so that a dry run does not need their files. */
  readonly blank?: boolean;
}

/** An objective that can be chosen by name. */
export interface ObjectiveKind<Settings extends object = object> {
  /** What the objective does, in a few words. */
  readonly description: string;
  /** Checks its settings and fills in the defaults. */
  readonly schema: z.ZodObject<
    { readonly [Name in keyof Settings]: z.ZodType<Settings[Name]> },
    z.core.$strict
  >;
  /** The models that it can train; the first is the default. */
  readonly models: ModelTable<Module, never>;
  /** Whether it trains a quantiser. */
  readonly quantizes: boolean;
  /** Whether a step can split its batch into parts and still give the result of the whole batch; by default no. */
  readonly accumulates?: boolean;
  /** What it needs of a finished first stage: nothing (`none`), its features, or its codes in this layout. */
  readonly stage1: "none" | "features" | CodeLayout;
  /** For an objective that generates images: the schema of the sampling settings with their defaults, those of `deno
   * task sample`. */
  readonly sampling?: z.ZodObject<z.core.$ZodLooseShape, z.core.$strict>;
  /** Makes the objective with its model and optimisers.
   * @returns a promise if something has to be read from a file
   * @throws {RangeError} the settings do not fit the images or each other
   */
  make(device: Device, needs: ObjectiveNeeds<Settings>): Objective | Promise<Objective>;
}

/** An objective's name and its settings in a configuration. */
export interface ObjectiveConfig {
  /** The objective's name. */
  readonly type: string;
  /** Its settings. */
  readonly [setting: string]: unknown;
}
