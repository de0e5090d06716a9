/** Whole training steps of the small VQ-VAE (arXiv 1711.00937) on 28×28 grey images: about 195 MFLOP per image. */
import { uniform } from "../core/functions/creation.ts";
import { profile } from "../core/profile.ts";
import { randomKey } from "../core/random.ts";
import { VQVAE } from "../models/vqvae.ts";
import { Adam } from "../nn/optimizers.ts";
import { createQuantizer } from "../quantizers/registry.ts";
import { trainingStep } from "../objectives/training_step.ts";
import type { Distance } from "../core/ops.ts";
import type { Device } from "../core/tensor.ts";
import { type Bench, type BenchOptions, type BenchRow, fastest } from "./row.ts";

/** The operations of a step's convolutions per image: the forward pass, the gradients of the images (except in the first
 * layer), and those of the filters. */
const OPERATIONS_PER_IMAGE = 195e6;

const QUANTIZERS = [["vanilla", "l2"], ["clustered", "cos"], ["clustered-ema", "l2"]] as const;
/** The batch sizes for scaling. */
const BATCHES = [1, 8, 32, 128, 512];

/** A row for each quantiser and batch size. */
export const stepBench: Bench = async function* (device, options) {
  for (const batch of options.scaling ? BATCHES : [options.batch]) {
    for (const [type, distance] of QUANTIZERS) {
      yield await stepRow(device, type, distance, { ...options, batch });
    }
  }
};

/** The row of one quantiser and batch size. */
export async function stepRow(
  device: Device,
  type: string,
  distance: Distance,
  { batch, runs, onProfile }: BenchOptions,
): Promise<BenchRow> {
  using _scope = device.scope();
  const key = randomKey(42, "bench");
  const quantizer = createQuantizer(device, { type, distance }, key);
  const model = new VQVAE(device, quantizer, { channels: 1, key });
  const optimizer = new Adam(model.namedParameters());
  const images = uniform(device, [batch, 28, 28, 1], key, -1, 1);
  const options = { model, optimizer, variance: 0.095, learningRate: 3e-4 };
  let step = 0;
  const take = (): void => {
    using _made = device.scope();
    trainingStep(images, { training: true, key: { ...key, step: step++ } }, options);
  };
  const ms = await fastest(device, runs, take);
  onProfile?.(await profile(device, `step, ${type} ${distance}, batch ${batch}`, take));
  return {
    bench: "step",
    device: device.name,
    shape: `${type} ${distance}, batch ${batch}, 28x28x1, hidden 128, K=512, D=64`,
    ms,
    gflops: OPERATIONS_PER_IMAGE * batch / ms / 1e6,
    images_per_second: batch / ms * 1000,
  };
}
