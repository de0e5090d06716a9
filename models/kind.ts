/** The registry's entry for a network: its settings and its constructor. */
import type * as z from "zod";
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import type { Module } from "../nn/module.ts";

/** A network that can be chosen by name. */
export interface ModelKind<Model extends Module, Needs, Settings extends object = object> {
  /** Checks settings and fills in the defaults. */
  readonly schema: z.ZodObject<
    { readonly [Name in keyof Settings]: z.ZodType<Settings[Name]> },
    z.core.$strict
  >;
  /** Makes the network with its initial weights.
   * @param needs the requirements on the network, such as its number of channels
   * @param settings all settings, checked
   * @param key the random key of the initial weights
   * @throws {RangeError} the settings do not fit the needs
   */
  make(device: Device, needs: Needs, settings: Settings, key: RandomKey): Model;
}

/** Networks by name; the first is the default. */
export type ModelTable<Model extends Module, Needs> = ReadonlyMap<string, ModelKind<Model, Needs>>;

/** A network's name and its settings in a configuration. */
export interface ModelConfig {
  /** The network's name. */
  readonly type: string;
  /** Its settings. */
  readonly [setting: string]: unknown;
}
