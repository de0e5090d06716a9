/** Whole training steps of the small VQ-VAE (arXiv 1711.00937) on square grey images: about 195 MFLOP per image of
 * 28×28. */
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

const SIDE = 28;
/** The operations of a step's convolutions per pixel: the forward pass, the gradients of the images (except in the first
 * layer), and those of the filters. */
const OPERATIONS_PER_PIXEL = 195e6 / SIDE ** 2;

const QUANTIZERS = [["vanilla", "l2"], ["clustered", "cos"], ["clustered-ema", "l2"]] as const;
/** The batch sizes for scaling. */
const BATCHES = [1, 8, 32, 128, 512];
/** The sides for scaling, and the batch size with them. */
const SIDES = [28, 56, 112], BATCH_OF_SIDES = 8;

/** A row for each quantiser and batch size, and for scaling also for each side. */
export const stepBench: Bench = async function* (device, options) {
  for (const [type, distance] of QUANTIZERS) {
    const of = `step, ${type} ${distance}`;
    if (!options.scaling) {
      yield await stepRow(device, type, distance, options);
      continue;
    }
    for (const batch of BATCHES) {
      const row = await stepRow(device, type, distance, { ...options, batch });
      yield { ...row, varied: { of, size: "batch", value: batch, expected: 1 } };
    }
    for (const side of SIDES) {
      const sizes = { batch: BATCH_OF_SIDES, side };
      const row = await stepRow(device, type, distance, { ...options, ...sizes });
      yield { ...row, varied: { of, size: "side", value: side, expected: 2 } };
    }
  }
};

/** Options of `stepRow`: images other than those of 28×28 with one channel. */
export interface StepOptions extends BenchOptions {
  readonly side?: number;
  readonly channels?: number;
}

/** The row of one quantiser, batch size and shape of images. */
export async function stepRow(
  device: Device,
  type: string,
  distance: Distance,
  { batch, side = SIDE, channels = 1, runs, onProfile }: StepOptions,
): Promise<BenchRow> {
  using _scope = device.scope();
  const key = randomKey(42, "bench");
  const quantizer = createQuantizer(device, { type, distance }, key);
  const model = new VQVAE(device, quantizer, { channels, key });
  const optimizer = new Adam(model.namedParameters());
  const images = uniform(device, [batch, side, side, channels], key, -1, 1);
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
    shape:
      `${type} ${distance}, batch ${batch}, ${side}x${side}x${channels}, hidden 128, K=512, D=64`,
    ms,
    gflops: OPERATIONS_PER_PIXEL * side ** 2 * batch / ms / 1e6,
    images_per_second: batch / ms * 1000,
  };
}
