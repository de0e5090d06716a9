/** Diffusions small enough for tests: over the tiny first stage, or in pixels of 4×4. */
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import type { Dataset } from "../../data/dataset.ts";
import { memoryDataset } from "../../data/memory.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { SMALL_UNET, UNet, type UNetOptions } from "../../models/unet/unet.ts";
import { Adam } from "../../nn/optimizers.ts";
import { LatentSpace } from "../../objectives/diffusion/latents.ts";
import { DiffusionModel } from "../../objectives/diffusion/model.ts";
import { NoiseSchedule } from "../../objectives/diffusion/schedule.ts";
import type { DiffusionSampling } from "../../objectives/diffusion/sampling.ts";
import { DiffusionObjective, type DiffusionOptions } from "../../objectives/diffusion.ts";
import { tinyModel, waves } from "../training/tiny.ts";

/** How the tests sample, unless they say. */
export const SAMPLING: DiffusionSampling = {
  ...{ sampler: "ddim", eta: 0, variance: "large" },
  ...{ steps: 3, guidance: 1 },
};

/** The waves, each of one of two classes. */
export function classedWaves(): Dataset {
  const { name, imageShape, sizes } = waves();
  const of = (count: number) => Int32Array.from({ length: count }, (_, image) => image % 2);
  const labels = { train: of(sizes.train), test: of(sizes.test) };
  const { train, test } = WAVES;
  return memoryDataset({ name, imageShape, train, test, labels, classes: ["even", "odd"] });
}

const every = (count: number) => Int32Array.from({ length: count }, (_, index) => index);
const WAVES = {
  train: await waves().images("train", every(26)),
  test: await waves().images("test", every(6)),
};

/** What a test may want otherwise. */
export interface TinyDiffusion extends Partial<Omit<DiffusionOptions, "model" | "optimizer">> {
  /** Of the network. */
  readonly network?: Partial<UNetOptions>;
  /** Principal components of the features. */
  readonly components?: number;
}

/** A diffusion over the latents of the tiny first stage, which is handed in or made; `stage1: null` is one in pixels. */
export function tinyDiffusion(
  device: Device,
  { network, components, stage1, ...options }: TinyDiffusion = {},
): DiffusionObjective {
  const key = randomKey(5, "tiny diffusion");
  const latents = stage1 && new LatentSpace(device, {
    ...{ width: stage1.codebookDim, scaling: "channels", components },
  });
  const denoiser = new UNet(device, {
    ...{ ...SMALL_UNET, width: 8, groups: 4, headChannels: 8, multipliers: [1, 1] },
    ...{ channels: latents?.channels ?? 1, classes: null, key },
    ...network,
  });
  return new DiffusionObjective({
    model: new DiffusionModel(denoiser, latents),
    optimizer: new Adam(denoiser.namedParameters()),
    dataset: waves(),
    schedule: new NoiseSchedule({ type: "cosine", times: 20 }),
    prediction: "v",
    preview: SAMPLING,
    learningRate: () => 3e-3,
    stage1,
    ...options,
  });
}

/** The tiny first stage, with its initial weights. */
export function tinyFirstStage(device: Device): FirstStage {
  return new FirstStage(tinyModel(device), randomKey(7, "first stage"));
}
