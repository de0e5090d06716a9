/** The networks by name. To add one, add a file in this folder and a line here. */
import * as z from "zod";
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings } from "../settings/settings.ts";
import type { Module } from "../nn/module.ts";
import type { Quantizer } from "../quantizers/quantizer.ts";
import type { Autoencoder } from "./autoencoder.ts";
import type { Denoiser, DenoiserNeeds } from "./denoiser.ts";
import type { ModelConfig, ModelKind, ModelTable } from "./kind.ts";
import { vqganKind } from "./vqgan/vqgan.ts";
import { unetKind } from "./unet/unet_kind.ts";
import {
  type CodeTransformer,
  codeTransformerKind,
  type CodeTransformerNeeds,
} from "./transformer/code_transformer.ts";
import {
  type EncoderDecoderChain,
  type EncoderDecoderChainNeeds,
  encoderDecoderKind,
} from "./transformer/encoder_decoder.ts";
import {
  type ResidualTransformer,
  residualTransformerKind,
  type ResidualTransformerNeeds,
} from "./transformer/residual_transformer.ts";
import {
  type ScaleTransformer,
  scaleTransformerKind,
  type ScaleTransformerNeeds,
} from "./transformer/scale_transformer.ts";
import { vqvaeKind } from "./vqvae.ts";

/** The requirements that a first stage must meet. */
export interface AutoencoderNeeds {
  /** The quantiser, which replaces features by codes. */
  readonly quantizer: Quantizer;
  /** Channels of the images: 1 grey, 3 colour. */
  readonly channels: number;
  /** Whether the backward pass recomputes values instead of keeping them. Small models always keep them. */
  readonly recompute?: boolean;
}

/** The first stages. */
export const AUTOENCODERS: ModelTable<Autoencoder, AutoencoderNeeds> = new Map<
  string,
  ModelKind<Autoencoder, AutoencoderNeeds>
>(Object.entries({
  "vqvae": vqvaeKind,
  "vqgan": vqganKind,
}));

/** The diffusion networks. */
export const UNETS: ModelTable<Denoiser, DenoiserNeeds> = new Map<
  string,
  ModelKind<Denoiser, DenoiserNeeds>
>(Object.entries({
  "unet": unetKind,
}));

/** The transformers over the codes of a first stage with one code per position. */
export const TRANSFORMERS: ModelTable<CodeTransformer, CodeTransformerNeeds> = new Map<
  string,
  ModelKind<CodeTransformer, CodeTransformerNeeds>
>(Object.entries({
  "transformer": codeTransformerKind,
}));

/** The transformers over the codes of a first stage that can have several codes per position. */
export const RESIDUAL_TRANSFORMERS: ModelTable<ResidualTransformer, ResidualTransformerNeeds> =
  new Map<string, ModelKind<ResidualTransformer, ResidualTransformerNeeds>>(Object.entries({
    "rq-transformer": residualTransformerKind,
  }));

/** The chains of encoder-decoder transformers, one for each step of a diffusion over codes. */
export const ENCODER_DECODERS: ModelTable<EncoderDecoderChain, EncoderDecoderChainNeeds> = new Map<
  string,
  ModelKind<EncoderDecoderChain, EncoderDecoderChainNeeds>
>(Object.entries({
  "encoder-decoder": encoderDecoderKind,
}));

/** The transformers over the codes of a first stage that codes grids scale by scale. */
export const SCALE_TRANSFORMERS: ModelTable<ScaleTransformer, ScaleTransformerNeeds> = new Map<
  string,
  ModelKind<ScaleTransformer, ScaleTransformerNeeds>
>(Object.entries({
  "scale-transformer": scaleTransformerKind,
}));

/** The schema of a model's configuration: its type and its settings.
 * @param table the models that can be chosen; the first is the default
 * @param config the configuration, possibly incomplete; only its type is used
 * @throws {RangeError} there is no such model
 */
export function modelSchema<Model extends Module, Needs>(
  table: ModelTable<Model, Needs>,
  config: unknown,
): z.ZodType<ModelConfig> {
  const type = modelType(table, config);
  return z.strictObject({
    type: z.enum([...table.keys()]).default(type).describe("the network"),
    ...modelKind(table, type).schema.shape,
  }).prefault({});
}

/** The name of a configuration's model. */
export function modelType<Model extends Module, Needs>(
  table: ModelTable<Model, Needs>,
  config: unknown,
): string {
  const { type } = (config ?? {}) as Partial<ModelConfig>;
  return typeof type === "string" ? type : [...table.keys()][0];
}

/** Finds a model by name.
 * @throws {RangeError} there is no such model
 */
export function modelKind<Model extends Module, Needs>(
  table: ModelTable<Model, Needs>,
  type: string,
): ModelKind<Model, Needs> {
  const kind = table.get(type);
  if (kind !== undefined) return kind;
  throw new RangeError(
    `Cannot choose a model: model.type must name one, got "${type}", ${
      suggestName(type, [...table.keys()])
    }`,
  );
}

/** Makes a first stage by name.
 *
 * ```ts
 * import { createAutoencoder, openDevice, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const needs = { quantizer, channels: 1 };
 * const model = createAutoencoder(device, needs, { type: "vqvae", hidden: 16 }, key);
 * assert.equal(model.downsampling, 4);
 * ```
 * @param config its name, and the settings that differ from their defaults
 * @param key the random key of the initial weights
 * @throws {RangeError} there is no such model, or a setting is not allowed
 */
export function createAutoencoder(
  device: Device,
  needs: AutoencoderNeeds,
  config: ModelConfig,
  key: RandomKey,
): Autoencoder {
  return createModel(AUTOENCODERS, device, needs, config, key);
}

/** Makes a model of a table by name.
 * @param needs the requirements on the model
 * @param config its name, and the settings that differ from their defaults
 * @param key the random key of the initial weights
 * @throws {RangeError} there is no such model, or a setting is not allowed or does not fit the needs
 */
export function createModel<Model extends Module, Needs>(
  table: ModelTable<Model, Needs>,
  device: Device,
  needs: Needs,
  config: ModelConfig,
  key: RandomKey,
): Model {
  const { type, ...settings } = readSettings(modelSchema(table, config), config, "make a model");
  return modelKind(table, type).make(device, needs, settings, key);
}
