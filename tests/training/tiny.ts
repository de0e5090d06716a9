/** A run small enough for tests: images of 8×8 in memory, the smallest VQ-VAE around a clustered codebook. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { decodeSafetensors } from "../../files/safetensors_bytes.ts";
import type { Device } from "../../core/tensor.ts";
import type { Dataset } from "../../data/dataset.ts";
import { memoryDataset } from "../../data/memory.ts";
import { Discriminator } from "../../models/discriminator.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Adam, type Optimizer } from "../../nn/optimizers.ts";
import { AdversarialObjective } from "../../objectives/adversarial.ts";
import type { Objective } from "../../objectives/objective.ts";
import {
  ReconstructionObjective,
  type ReconstructionOptions,
} from "../../objectives/reconstruction.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { train, type TrainingSummary, type TrainOptions } from "../../training/trainer.ts";

/** Waves of different lengths and directions, `[8, 8, 1]`: 26 to train on, 6 to test. */
export function waves(trainImages = 26, testImages = 6): Dataset {
  const draw = (count: number, first: number) =>
    Float32Array.from({ length: count * 64 }, (_, value) => {
      const image = first + Math.floor(value / 64), y = Math.floor(value % 64 / 8), x = value % 8;
      return Math.sin((x * (1 + image % 5) + y * (1 + image % 3)) / 3 + image);
    });
  return memoryDataset({
    name: "waves",
    imageShape: [8, 8, 1],
    train: draw(trainImages, 0),
    test: draw(testImages, 1000),
  });
}

/** A model with 8 hidden channels and 8 codes of 4 dimensions; its pool of anchors fills over several steps. */
export function tinyModel(
  device: Device,
  seed = 7,
  anchor: "closest" | "random" = "random",
): VQVAE {
  const key = randomKey(seed, "model");
  const quantizer = new ClusteredQuantizer(device, {
    codebookSize: 8,
    codebookDim: 4,
    anchor,
    key,
  });
  return new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
}

/** An adversarial objective: from the fourth step on the discriminator learns, from the sixth on the generator's term grows,
 * until the ninth. */
export function tinyRivals(device: Device, options: ReconstructionOptions): AdversarialObjective {
  const key = randomKey(7, "discriminator");
  const discriminator = new Discriminator(device, { channels: 1, width: 2, layers: 1, key });
  return new AdversarialObjective(device, {
    ...options,
    discriminator,
    discriminatorOptimizer: new Adam(discriminator.namedParameters()),
    perceptual: "none",
    discStart: 3,
    discWarmupSteps: 2,
    generatorRampSteps: 3,
  });
}

/** What a test may want otherwise. */
export type TinyOptions =
  & {
    readonly device: Device;
    readonly path: string;
    readonly model?: VQVAE;
    readonly optimizer?: Optimizer;
    readonly learningRate?: (step: number) => number;
    readonly construct?: (device: Device, options: ReconstructionOptions) => Objective;
  }
  & Partial<Omit<TrainOptions, "device" | "folder" | "objective">>;

/** Trains a fresh tiny model into a folder, by reconstruction unless the options construct another objective: 3 epochs of 6 steps, a checkpoint every other step. */
export async function trainTiny(options: TinyOptions): Promise<TrainingSummary> {
  const { device, path, learningRate = () => 1e-3, dataset = waves(), ...rest } = options;
  const {
    model = tinyModel(device),
    optimizer = new Adam(model.namedParameters()),
    construct = (device, options) => new ReconstructionObjective(device, options),
    ...other
  } = rest;
  using objective = construct(device, {
    model,
    optimizer,
    dataset,
    stepsPerEpoch: 6,
    learningRate,
  });
  return await train({
    device,
    objective,
    dataset,
    seed: 7,
    batchSize: 4,
    epochs: 3,
    logEverySteps: 3,
    checkpointEverySteps: 2,
    folder: new RunFolder(path),
    identity: { "quantizer.type": "clustered", "quantizer.codebookSize": 8 },
    ...other,
  });
}

/** Gives a body a folder of its own, and takes it away afterwards. */
export async function withFolder(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "codebook-" });
  try {
    await body(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** The bytes of a folder's last checkpoint. */
export async function lastCheckpoint(path: string): Promise<Uint8Array> {
  return await Deno.readFile(new RunFolder(path).checkpoint("last"));
}

/** Fails unless the last checkpoint of a run has the same bytes as another's; says which of its tensors differ. */
export async function assertSameEnd(path: string, expected: string, when = ""): Promise<void> {
  const [found, wanted] = await Promise.all([path, expected].map(lastCheckpoint));
  if (found.length === wanted.length && found.every((byte, at) => byte === wanted[at])) return;
  const { tensors } = decodeSafetensors(found, path);
  const differing = [...decodeSafetensors(wanted, expected).tensors]
    .filter(([name, { values }]) => String(values) !== String(tensors.get(name)?.values))
    .map(([name]) => name);
  assert.fail(
    `${path} must end with the bytes of ${expected}, got others in ${
      differing.join(", ") || "the header"
    } ${when}`,
  );
}
