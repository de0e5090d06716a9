/** What a configuration needs, measured by a dry run of its training step: memory, and the work of the step. */
import type { DeviceName } from "../core/backend.ts";
import type { Cost } from "../core/cost.ts";
import { openDryRun } from "../core/dry_run.ts";
import { watchMemory } from "../core/memory_watch.ts";
import { profile } from "../core/profile.ts";
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Dataset } from "../data/dataset.ts";
import { AveragedWeights } from "../nn/averaged_weights.ts";
import { Adam } from "../nn/optimizers.ts";
import type { Objective } from "../objectives/objective.ts";
import { objectiveKind } from "../objectives/registry.ts";
import type { Config } from "./config.ts";
import { needsOf } from "./construct.ts";
import { openRun } from "./open_run.ts";

/** Memory and work of a training step. */
export interface StepPlan {
  /** Images per step. */
  readonly batch: number;
  /** Whether the backward pass recomputes activations. */
  readonly recompute: boolean;
  /** Bytes held by tensors at the peak of the step: parameters, optimiser state, activations, gradients. */
  readonly peakBytes: number;
  /** Bytes held by the device, including buffers kept for reuse. It frees those when memory is short. */
  readonly heldBytes: number;
  /** Size of the longest tensor, in bytes. */
  readonly longestBytes: number;
  /** Number of kernels that the step runs. */
  readonly kernels: number;
  /** Floating-point operations of products, convolutions, nearest codes and attention; a multiplication and an addition
   * each count as one. */
  readonly operations: number;
  /** Bytes that the kernels read and write: each operand and each output once. */
  readonly movedBytes: number;
}

/** Memory of a configuration. */
export interface MemoryPlan {
  /** Number of trained parameters: those of the model and of a discriminator beside it. */
  readonly parameters: number;
  /** Size of the optimisers' state, in bytes. */
  readonly optimizerBytes: number;
  /** Bytes held by tensors between two steps: parameters, optimiser state, averaged weights, statistics, frozen networks. */
  readonly restingBytes: number;
  /** Memory of a step for each batch size, first without recomputation, then with it. */
  readonly steps: readonly StepPlan[];
}

/** Options of `planMemory`. */
export interface MemoryPlanOptions {
  /** The device. */
  readonly device: DeviceName;
  /** Height, width and channels. */
  readonly imageShape: Dataset["imageShape"];
  /** The classes of the images, if the objective needs them. */
  readonly classes?: readonly string[];
  /** The batch sizes. */
  readonly batches: readonly number[];
}

/** A late step: everything that starts in the middle of a run (a discriminator, for example) has started. */
const LATE = 2 ** 30;

/** Plans the memory of a configuration: runs the training step of its model on shapes only. Nothing is computed, no image is
 * read, and weight files of frozen networks are not needed. Scratch memory of kernels is not counted.
 *
 * ```ts
 * import { planMemory, resolveConfig } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const config = resolveConfig({ flags: { preset: "vqgan-f16", data: { name: "ffhq" } } });
 * const plan = await planMemory(config, {
 *   device: "webgpu",
 *   imageShape: [256, 256, 3],
 *   batches: [1],
 * });
 * const [plain, recomputed] = plan.steps;
 * assert.ok(recomputed.peakBytes < plain.peakBytes);
 * ```
 * @throws {RangeError} the settings do not fit the images or each other
 * @throws {Error} the first stage that it uses cannot be opened
 */
export async function planMemory(config: Config, options: MemoryPlanOptions): Promise<MemoryPlan> {
  const steps: StepPlan[] = [];
  let standing: Omit<MemoryPlan, "steps"> | undefined;
  for (const batch of options.batches) {
    for (const recompute of [false, true]) {
      const training = { ...config.training, batchSize: batch, recompute };
      const planned = await planStep({ ...config, training }, options);
      standing ??= planned.standing;
      steps.push({ batch, recompute, ...planned.step });
    }
  }
  if (standing === undefined) {
    throw new RangeError("Cannot plan: at least one batch is needed, got none");
  }
  return { ...standing, steps };
}

async function planStep(config: Config, { device: name, imageShape, classes }: MemoryPlanOptions) {
  const { seed, training: { batchSize, averageDecay } } = config;
  using device = openDryRun(name);
  using stage1 = config.stage1 === null ? undefined : await openRun(config.stage1, device);
  const dataset = blankDataset(imageShape, batchSize, classes);
  const needs = needsOf(config, dataset, stage1?.model);
  using objective = await objectiveKind(config.objective.type).make(device, {
    ...needs,
    settings: "cacheIn" in needs.settings
      ? { ...needs.settings, cacheIn: "memory" } // A cache file from a dry run would be used later.
      : needs.settings,
    blank: true,
  });
  using average = averageDecay === null
    ? undefined
    : new AveragedWeights(objective.model.namedParameters(), averageDecay);
  await objective.prepare(device);
  const step = () => {
    using _scope = device.scope();
    const batch = {
      images: device.empty([batchSize, ...imageShape]),
      labels: classes && device.tensor(new Int32Array(batchSize), [batchSize]),
      indices: Int32Array.from({ length: batchSize }, (_, index) => index),
    };
    objective.step(batch, { training: true, key: randomKey(seed, "dry run"), step: LATE });
    average?.update();
  };
  step(); // Allocates what is created on first use.
  const restingBytes = device.liveBytes;
  const watch = watchMemory(device);
  step();
  const { peakBytes, heldBytes, longestBytes } = watch;
  watch[Symbol.dispose]();
  const { kernels } = await profile(device, "a step", step);
  const total = (of: (kernel: Cost) => number) => kernels.reduce((sum, each) => sum + of(each), 0);
  return {
    standing: { ...standingOf(objective), restingBytes },
    step: {
      ...{ peakBytes, heldBytes, longestBytes, kernels: kernels.length },
      operations: total(({ operations = 0 }) => operations),
      movedBytes: total(({ bytes }) => bytes),
    },
  };
}

function standingOf(objective: Objective) {
  const states = [...objective.namedModules().values()]
    .filter((module) => module instanceof Adam)
    .flatMap((module) => [...module.firstMoments.values(), ...module.secondMoments.values()]);
  const total = (sizes: Iterable<{ readonly size: number }>) =>
    [...sizes].reduce((sum, { size }) => sum + size, 0);
  return { parameters: total(objective.parameters()), optimizerBytes: 4 * total(states) };
}

/** A data set with one batch of blank images. */
function blankDataset(
  imageShape: Dataset["imageShape"],
  images: number,
  classes: readonly string[] | undefined,
): Dataset {
  const labels = { train: new Int32Array(images), test: new Int32Array(images) };
  return {
    name: "dry run",
    imageShape,
    sizes: { train: images, test: images },
    ...classes !== undefined && { classes, labels },
    variance: 1,
    images: (_split, indices) =>
      Promise.resolve(new Float32Array(indices.length * sizeOf(imageShape))),
  };
}
