/** Reconstruction in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import { AUTOENCODERS, createAutoencoder } from "../models/registry.ts";
import {
  createQuantizer,
  DEFAULT_QUANTIZER,
  type QuantizerConfig,
} from "../quantizers/registry.ts";
import type { ObjectiveKind, ObjectiveNeeds } from "./kind.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";
import { decaysIn } from "./first_stage.ts";
import { ReconstructionObjective } from "./reconstruction.ts";

/** The settings that a first stage is made from. */
export interface AutoencoderConfig extends Pick<ObjectiveNeeds, "seed" | "model" | "recompute"> {
  /** The quantiser's settings. */
  readonly quantizer: QuantizerConfig;
  /** Channels of the images. */
  readonly channels: number;
}

/** Makes a first stage around a quantiser, with initial weights.
 * @throws {RangeError} a setting is not allowed
 */
export function constructAutoencoder(
  device: Device,
  { seed, model, quantizer, channels, recompute }: AutoencoderConfig,
): Autoencoder {
  const made = createQuantizer(device, quantizer, randomKey(seed, "initial quantizer"));
  const key = randomKey(seed, "initial model");
  return createAutoencoder(device, { quantizer: made, channels, recompute }, model, key);
}

/** Makes a first stage for the images of a data set.
 * @throws {RangeError} the images' sides are not divisible by the model's downsampling
 */
export function constructFor(
  device: Device,
  { seed, model: network, quantizer = { type: DEFAULT_QUANTIZER }, recompute }: Pick<
    ObjectiveNeeds,
    "seed" | "model" | "quantizer" | "recompute"
  >,
  { imageShape: [height, width, channels] }: Pick<Dataset, "imageShape">,
): Autoencoder {
  const model = constructAutoencoder(device, {
    ...{ seed, model: network, quantizer, channels, recompute },
  });
  const { downsampling } = model;
  if (height % downsampling === 0 && width % downsampling === 0) return model;
  model.dispose();
  throw new RangeError(
    `Cannot make the model: the images' sides must be divisible by ${downsampling}, got ${height}×${width}; ` +
      "--data.size chooses another for most data sets",
  );
}

/** Reconstruction, with an autoencoder and one optimiser. */
export const reconstructionKind: ObjectiveKind = {
  description: "reconstruct images from their codes: mse/v plus the quantiser's losses",
  schema: z.strictObject({}),
  models: AUTOENCODERS,
  quantizes: true,
  accumulates: true,
  stage1: "none",
  make(device, needs) {
    const { dataset, quantizer, optimizer, steps, stepsPerEpoch, accumulate } = needs;
    const model = constructFor(device, needs, dataset);
    return new ReconstructionObjective(device, {
      model,
      optimizer: constructOptimizer(optimizer, model.namedParameters(), decaysIn(model)),
      dataset,
      stepsPerEpoch,
      quantizer,
      learningRate: constructLearningRate(optimizer, steps),
      clipNorm: optimizer.clipNorm ?? undefined,
      accumulate,
    });
  },
};
