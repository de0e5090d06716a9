/** What the registry knows of an objective: its settings, the models it trains, and how it is made. */
import type * as z from "zod";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import type { ModelConfig, ModelTable } from "../models/kind.ts";
import type { Module } from "../nn/module.ts";
import type { QuantizerConfig } from "../quantizers/registry.ts";
import type { Objective } from "./objective.ts";
import type { OptimizerConfig } from "./optimizer_settings.ts";

/** What an objective is made of. */
export interface ObjectiveNeeds<Settings extends object = object> {
  /** The seed of the initial weights. */
  readonly seed: number;
  /** The images. */
  readonly dataset: Dataset;
  /** Its own settings, checked. */
  readonly settings: Settings;
  /** The model's. */
  readonly model: ModelConfig;
  /** The quantiser's; none where the objective trains none. */
  readonly quantizer?: QuantizerConfig;
  /** The optimiser's. */
  readonly optimizer: OptimizerConfig;
  /** Whether models that can save memory compute anew in the backward pass what they would have to keep. */
  readonly recompute?: boolean;
  /** Steps in the whole run. */
  readonly steps: number;
  /** In how many parts a step computes its batch; 1 where the objective cannot. */
  readonly accumulate: number;
  /** Steps in an epoch. */
  readonly stepsPerEpoch: number;
  /** The finished first stage that it stands on, where it stands on one. */
  readonly stage1?: FirstStage;
  /** Whether frozen networks get zeros as weights, so that their files are not needed: for a dry run. */
  readonly blank?: boolean;
}

/** An objective that can be chosen by name. */
export interface ObjectiveKind<Settings extends object = object> {
  /** What it does, in a few words. */
  readonly description: string;
  /** Checks its settings and fills in the defaults. */
  readonly schema: z.ZodObject<
    { readonly [Name in keyof Settings]: z.ZodType<Settings[Name]> },
    z.core.$strict
  >;
  /** The models that it trains; the first is the default. */
  readonly models: ModelTable<Module, never>;
  /** Whether it trains a quantiser. */
  readonly quantizes: boolean;
  /** Whether a step can compute its batch in parts, with the result of the whole; by default not. */
  readonly accumulates?: boolean;
  /** Whether it stands on a finished run. */
  readonly stage1: "none" | "required";
  /** How its model can be sampled, of one that makes images: settings of `deno task sample`, with their defaults. */
  readonly sampling?: z.ZodObject<z.core.$ZodLooseShape, z.core.$strict>;
  /** Makes it, with its model and optimisers.
   * @returns a promise where something has to be read for it
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
