/** Reads and decodes 256×256 random crops of JPEG files as large as ImageNet's, with different numbers of threads. Then
 * measures how many images per second the device trains on. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { uniform } from "../core/functions/creation.ts";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { trainingBatches } from "../data/batches.ts";
import { openDataset } from "../data/registry.ts";
import { VQVAE } from "../models/vqvae.ts";
import { Adam } from "../nn/optimizers.ts";
import { createQuantizer } from "../quantizers/registry.ts";
import { trainingStep } from "../objectives/training_step.ts";
import { type Bench, type BenchRow, fastest } from "./row.ts";

const SIDE = 256;
/** The width and height of the images in the files. */
const WIDTH = 500, HEIGHT = 375;
/** The number of images in a training step. */
const STEP_BATCH = 4;

/** Yields a row for each number of threads, and one for the device. */
export const dataBench: Bench = async function* (device, { batch, runs }) {
  const folder = await mkdtemp(join(tmpdir(), "codebook-bench-"));
  try {
    await writePictures(folder, 2 * batch);
    for (const workers of threadCounts()) yield await loadingRow(folder, batch, runs, workers);
  } finally {
    await rm(folder, { recursive: true });
  }
  yield await trainingRow(device, runs);
};

/** The powers of two below the machine's number of cores, and that number. */
function threadCounts(): number[] {
  const cores = navigator.hardwareConcurrency;
  const doubled = Array.from({ length: Math.ceil(Math.log2(cores)) }, (_, power) => 2 ** power);
  return [...doubled, cores];
}

/** Writes JPEG files of about 60 KB: soft shapes with grain, different in every file. */
async function writePictures(folder: string, count: number): Promise<void> {
  for (const part of ["train", "test"]) await mkdir(join(folder, part));
  for (let number = 0; number < count; number++) {
    const [across, down] = [WIDTH / 25, HEIGHT / 25];
    const forms = Uint8Array.from(
      { length: across * down * 3 },
      (_, place) => (place * 7919 + number * 104_729) % 251,
    );
    const soft = await sharp(forms, { raw: { width: across, height: down, channels: 3 } })
      .resize(WIDTH, HEIGHT).raw().toBuffer();
    const grain = soft.map((byte, place) => byte + (place * place + number) % 13);
    const picture = sharp(grain, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
    const bytes = await picture.jpeg({ quality: 90 }).toBuffer();
    await writeFile(join(folder, number === 0 ? "test" : "train", `${number}.jpg`), bytes);
    if (number === 0) await writeFile(join(folder, "train", "0.jpg"), bytes);
  }
}

/** One epoch of training batches, read as in a run. */
async function loadingRow(
  path: string,
  batchSize: number,
  runs: number,
  workers: number,
): Promise<BenchRow> {
  const settings = { name: "image-folder", path, size: SIDE, crop: "random", flip: true, workers };
  const dataset = await openDataset(settings);
  let least = Infinity;
  for (let epoch = 0; epoch < runs; epoch++) {
    const started = performance.now();
    for await (const _ of trainingBatches(dataset, { seed: 42, batchSize, epoch }));
    least = Math.min(least, performance.now() - started);
  }
  return {
    bench: "data",
    device: "loader",
    shape: `${WIDTH}x${HEIGHT} JPEG files to ${SIDE}x${SIDE} random crops, batch ${batchSize}`,
    ms: least,
    images_per_second: 2 * batchSize / least * 1000,
    threads: workers,
  };
}

/** A training step of the small model on images of the same size. */
async function trainingRow(device: Device, runs: number): Promise<BenchRow> {
  using _scope = device.scope();
  const key = randomKey(42, "bench");
  const model = new VQVAE(device, createQuantizer(device, { type: "clustered" }, key), {
    channels: 3,
    key,
  });
  const optimizer = new Adam(model.namedParameters());
  const images = uniform(device, [STEP_BATCH, SIDE, SIDE, 3], key, -1, 1);
  const options = { model, optimizer, variance: 0.1, learningRate: 3e-4 };
  let step = 0;
  const ms = await fastest(device, Math.min(runs, 3), () => {
    trainingStep(images, { training: true, key: { ...key, step: step++ } }, options);
  });
  return {
    bench: "data",
    device: device.name,
    shape: `training on ${SIDE}x${SIDE}x3, hidden 128, K=512, D=64, batch ${STEP_BATCH}`,
    ms,
    images_per_second: STEP_BATCH / ms * 1000,
  };
}
