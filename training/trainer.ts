/** The training loop: steps, measurements, checkpoints, exact resume. */
import { setImmediate as turn } from "node:timers/promises";
import { type Profile, profile } from "../core/profile.ts";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { evaluationBatches, stepsPerEpoch, trainingBatches } from "../data/batches.ts";
import type { VQVAE } from "../models/vqvae.ts";
import { Counter, Module, type StateDictionary } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import { type Carried, DivergedError, epochMeans, freshCarried } from "./carried.ts";
import type { ScalarName, StepScalars } from "./carried.ts";
import { checkIdentity, readCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { type CodebookHealth, CodebookWatch } from "./codebook_watch.ts";
import { evaluate, type Evaluation } from "./evaluation.ts";
import { PendingScalars } from "./pending.ts";
import { testNumbers } from "./protocol.ts";
import type { RunFolder } from "./run_folder.ts";
import { trainingStep } from "./step.ts";

/** Everything that a checkpoint holds of a run. */
class RunState extends Module {
  readonly step: Counter = new Counter();
  readonly codebook: CodebookWatch;

  constructor(
    device: Device,
    readonly model: VQVAE,
    readonly optimizer: Optimizer,
    stepsPerEpoch: number,
  ) {
    super();
    this.codebook = new CodebookWatch(device, model.quantizer.codebookSize, stepsPerEpoch);
  }
}

/** Where a run is, told every so many steps. */
export interface TrainingProgress {
  /** Steps taken. */
  readonly step: number;
  /** Steps in the whole run. */
  readonly totalSteps: number;
  /** The epoch that is under way, counted from 1. */
  readonly epoch: number;
  /** Means over the steps since the last report. */
  readonly scalars: StepScalars;
  /** How the codebook fares. */
  readonly codebook: CodebookHealth;
  /** Images trained on a second, since the last report. */
  readonly imagesPerSecond: number;
}

/** What an epoch came to. */
export interface EpochSummary {
  /** The epoch, counted from 1. */
  readonly epoch: number;
  /** Means over its steps. */
  readonly train: StepScalars;
  /** How the codebook fared in it. */
  readonly codebook: CodebookHealth;
  /** The model over the whole test set. */
  readonly test: Evaluation;
}

/** How a run ends. */
export interface TrainingSummary {
  /** Steps taken. */
  readonly steps: number;
  /** Whether every step was taken; false after an interruption. */
  readonly finished: boolean;
  /** The model at the end, over the whole test set; none after an interruption. */
  readonly test?: Evaluation;
  /** The epoch with the lowest test mse. */
  readonly best: Carried["best"];
  /** Images trained on a second in this session, evaluation left out; none if it had no step left to take. */
  readonly imagesPerSecond: number | null;
}

/** What a run is made of. */
export interface TrainOptions {
  /** Where to compute. */
  readonly device: Device;
  /** What to train. */
  readonly model: VQVAE;
  /** Steps the model's parameters. */
  readonly optimizer: Optimizer;
  /** The images. */
  readonly dataset: Dataset;
  /** Of the order of the images and the quantiser's choices. */
  readonly seed: number;
  /** Images a step. */
  readonly batchSize: number;
  /** Passes over the training images. */
  readonly epochs: number;
  /** Ends the run after so many steps, if that is sooner. */
  readonly maxSteps?: number;
  /** The learning rate of a step, counted from 0. */
  readonly learningRate: (step: number) => number;
  /** Largest norm of all gradients together; none by default. */
  readonly clipNorm?: number;
  /** Steps from one report to the next. */
  readonly logEverySteps: number;
  /** Steps from one checkpoint to the next; every epoch ends with one besides. */
  readonly checkpointEverySteps: number;
  /** Where the run leaves its files. */
  readonly folder: RunFolder;
  /** What a checkpoint must agree in to be resumed, by configuration path. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Continues from the folder's last checkpoint. */
  readonly resume?: boolean;
  /** Ends the run after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Hears where the run is. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Hears that what was recorded ends before the checkpoint that the run goes on from, as a loss of power can leave it. */
  readonly onGap?: (recorded: number, step: number) => void;
  /** Hears what an epoch came to. */
  readonly onEpoch?: (summary: EpochSummary) => void;
  /** Hears the profile of one step, the tenth that this session takes (or its last, if that is sooner). */
  readonly onProfile?: (profile: Profile) => Promise<void> | void;
}

/** Steps before the one that is profiled: by then kernels are compiled, and memory is at hand. */
const WARM_UP = 9;

/** Trains a model and leaves its measurements, checkpoints (the first before the first step) and samples in the run's
 * folder.
 *
 * A run that is killed at any moment and resumed ends with the same bytes in its final checkpoint as one that was
 * never stopped.
 *
 * ```ts
 * import {
 *   Adam, memoryDataset, openDevice, randomKey, RunFolder, train, uniform, VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(7, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = await uniform(device, [8, 8, 8, 1], key, -1, 1).floats();
 * const imageShape = [8, 8, 1] as const;
 * const path = await Deno.makeTempDir();
 * const { finished, test } = await train({
 *   device,
 *   model,
 *   optimizer: new Adam(model.namedParameters()),
 *   dataset: memoryDataset({ name: "noise", imageShape, train: images, test: images }),
 *   seed: 7,
 *   batchSize: 4,
 *   epochs: 2,
 *   learningRate: () => 3e-4,
 *   logEverySteps: 10,
 *   checkpointEverySteps: 10,
 *   folder: new RunFolder(path),
 *   identity: { "quantizer.type": "vanilla" },
 * });
 * assert.ok(finished);
 * console.log(test?.mse);
 * await Deno.remove(path, { recursive: true });
 * ```
 * @throws {DivergedError} a loss or a part of the state is no longer finite; the last good checkpoint is kept
 * @throws {Error} there is no checkpoint to resume from, or the folder cannot be written
 * @throws {RangeError} the checkpoint to resume from is broken or of another configuration, or the batch size is larger
 * than the training set
 */
export async function train(options: TrainOptions): Promise<TrainingSummary> {
  using run = new Run(options);
  return await run.start();
}

class Run implements Disposable {
  readonly #options: TrainOptions;
  readonly #state: RunState;
  readonly #pending = new PendingScalars();
  readonly #stepsPerEpoch: number;
  readonly #totalSteps: number;
  #carried: Carried = freshCarried();
  #images = 0;
  #seconds = 0;
  #profiledStep: number | undefined;

  constructor(options: TrainOptions) {
    const { device, model, optimizer, dataset, batchSize, epochs, maxSteps = Infinity } = options;
    this.#options = options;
    this.#stepsPerEpoch = stepsPerEpoch(dataset, batchSize);
    this.#state = new RunState(device, model, optimizer, this.#stepsPerEpoch);
    this.#totalSteps = Math.min(epochs * this.#stepsPerEpoch, maxSteps);
  }

  [Symbol.dispose](): void {
    this.#pending[Symbol.dispose]();
    this.#state.codebook.dispose();
  }

  async start(): Promise<TrainingSummary> {
    const { resume = false, folder, onProfile } = this.#options;
    if (resume) await this.#restore();
    const end = await folder.begin(this.#step);
    if (end !== undefined) this.#options.onGap?.(end, this.#step);
    if (!resume) await this.#save("last");
    if (onProfile !== undefined) {
      this.#profiledStep = Math.min(this.#step + WARM_UP, this.#totalSteps - 1);
    }
    let test: Evaluation | undefined;
    while (this.#step < this.#totalSteps) {
      if (!await this.#epoch()) return this.#summary(undefined);
      test = await this.#endEpoch();
    }
    return this.#summary(test ?? await this.#evaluate());
  }

  get #step(): number {
    return this.#state.step.value;
  }

  /** The epoch that the step under way belongs to, counted from 0. */
  get #epochIndex(): number {
    return Math.floor(this.#step / this.#stepsPerEpoch);
  }

  #summary(test: Evaluation | undefined): TrainingSummary {
    return {
      steps: this.#step,
      finished: test !== undefined,
      test,
      best: this.#carried.best,
      imagesPerSecond: this.#seconds === 0 ? null : this.#images / this.#seconds,
    };
  }

  /** Trains to the end of the epoch or of the run; false if it was interrupted. */
  async #epoch(): Promise<boolean> {
    const { dataset, seed, batchSize, logEverySteps, checkpointEverySteps, signal } = this.#options;
    const epoch = this.#epochIndex;
    const skip = this.#step % this.#stepsPerEpoch;
    let started = performance.now();
    for await (const { images } of trainingBatches(dataset, { seed, batchSize, epoch, skip })) {
      await turn(); // Lets a signal come in where a step never waits.
      if (signal?.aborted) {
        await this.#report(started);
        await this.#save("last");
        return false;
      }
      if (this.#step === this.#profiledStep) await this.#profileOn(images);
      else this.#trainOn(images);
      const ended = this.#step % this.#stepsPerEpoch === 0 || this.#step === this.#totalSteps;
      const checkpoint = !ended && this.#step % checkpointEverySteps === 0;
      if (ended || checkpoint || this.#step % logEverySteps === 0) {
        await this.#report(started);
        if (checkpoint) await this.#save("last");
        started = performance.now();
      }
      if (ended) break;
    }
    return true;
  }

  #trainOn(images: Float32Array<ArrayBuffer>): void {
    const { device, model, optimizer, dataset, seed, batchSize, learningRate, clipNorm } =
      this.#options;
    using scope = device.scope();
    const batch = device.tensor(images, [batchSize, ...dataset.imageShape]);
    const context = { training: true, key: randomKey(seed, "quantizer", this.#step) };
    const result = trainingStep(batch, context, {
      model,
      optimizer,
      variance: dataset.variance,
      learningRate: learningRate(this.#step),
      clipNorm,
    });
    this.#state.codebook.add(result.usage);
    this.#pending.add(result, scope);
    this.#state.step.value++;
  }

  async #profileOn(images: Float32Array<ArrayBuffer>): Promise<void> {
    const { device, batchSize, onProfile } = this.#options;
    const title = `step ${this.#step + 1}, batch ${batchSize}`;
    await onProfile?.(await profile(device, title, () => this.#trainOn(images)));
  }

  /** Reads the scalars of the steps since the last report, checks them, sums them, and tells of them. */
  async #report(started: number): Promise<void> {
    const { batchSize, folder, model, onProgress, learningRate } = this.#options;
    const first = this.#step - this.#pending.length;
    if (this.#pending.length === 0) return;
    const [rows, codebook] = await Promise.all([
      this.#pending.take(),
      this.#state.codebook.read(model.quantizer),
    ]);
    const seconds = (performance.now() - started) / 1000;
    const window = freshCarried();
    rows.forEach((row, index) => {
      for (const [name, value] of Object.entries(row) as [ScalarName, number][]) {
        if (!Number.isFinite(value)) {
          throw new DivergedError(first + index + 1, name, value, folder.checkpoint("last"));
        }
        this.#carried.sums[name] += value;
        window.sums[name] += value;
      }
      this.#carried.steps++;
      window.steps++;
    });
    this.#images += rows.length * batchSize;
    this.#seconds += seconds;
    const scalars = epochMeans(window);
    const progress: TrainingProgress = {
      step: this.#step,
      totalSteps: this.#totalSteps,
      epoch: Math.floor((this.#step - 1) / this.#stepsPerEpoch) + 1,
      scalars,
      codebook,
      imagesPerSecond: rows.length * batchSize / seconds,
    };
    await folder.log({
      kind: "step",
      step: progress.step,
      epoch: progress.epoch,
      ...scalars,
      codebook,
      learningRate: learningRate(this.#step - 1),
    });
    onProgress?.(progress);
  }

  async #evaluate(): Promise<Evaluation> {
    const { device, model, dataset, batchSize, seed } = this.#options;
    const batches = evaluationBatches(dataset, { split: "test", batchSize });
    return await evaluate(
      device,
      model,
      batches,
      dataset.imageShape,
      randomKey(seed, "evaluation"),
    );
  }

  async #endEpoch(): Promise<Evaluation> {
    const { dataset, folder, model, onEpoch } = this.#options;
    const epoch = Math.floor((this.#step - 1) / this.#stepsPerEpoch) + 1;
    const train = epochMeans(this.#carried);
    const codebook = await this.#state.codebook.read(model.quantizer);
    const test = await this.#evaluate();
    if (!Number.isFinite(test.mse)) {
      throw new DivergedError(this.#step, "test mse", test.mse, folder.checkpoint("last"));
    }
    await folder.log({
      kind: "epoch",
      epoch,
      step: this.#step,
      train,
      codebook,
      test: await testNumbers(test, dataset),
    });
    const better = this.#carried.best === null || test.mse < this.#carried.best.mse;
    const best = better ? { epoch, mse: test.mse } : this.#carried.best;
    this.#carried = { ...freshCarried(), best };
    this.#state.codebook.nextEpoch();
    await folder.logCounts(this.#step, test.counts);
    await folder.saveSamples({ epoch, step: this.#step }, this.#options);
    await this.#save(...better ? ["best", "last"] as const : ["last"] as const);
    onEpoch?.({ epoch, train, codebook, test });
    return test;
  }

  /** Writes the state under each of the names, unless it is broken. */
  async #save(...names: readonly ("last" | "best")[]): Promise<void> {
    const { folder, identity } = this.#options;
    const state = await this.#state.stateDictionary();
    const broken = findNonFinite(state);
    if (broken !== undefined) {
      throw new DivergedError(this.#step, ...broken, folder.checkpoint("last"));
    }
    await folder.sync();
    for (const name of names) {
      await saveCheckpoint(folder.checkpoint(name), state, { identity, carried: this.#carried });
    }
  }

  async #restore(): Promise<void> {
    const path = this.#options.folder.checkpoint("last");
    const { identity, carried, state } = await readCheckpoint(path);
    checkIdentity(path, identity, this.#options.identity);
    this.#state.loadStateDictionary(state);
    this.#carried = carried as Carried;
  }
}

/** The name of the first entry with a value that is not finite, and the value. */
function findNonFinite(state: StateDictionary): [name: string, value: number] | undefined {
  for (const [name, { values }] of state) {
    for (const value of values) if (!Number.isFinite(value)) return [name, value];
  }
}
