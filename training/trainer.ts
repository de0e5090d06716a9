/** The training loop: steps, measurements, checkpoints, exact resume. It uses an objective only through its
 * interface. */
import { setImmediate as turn } from "node:timers/promises";
import { type Profile, profile } from "../core/profile.ts";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { type Batch, evaluationBatches, stepsPerEpoch, trainingBatches } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { fromJsonNumber } from "../files/json_number.ts";
import { AveragedWeights } from "../nn/averaged_weights.ts";
import { Counter, Module, type StateDictionary } from "../nn/module.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import type {
  Inspection,
  Objective,
  ObjectiveEvaluation,
  Scalars,
} from "../objectives/objective.ts";
import { checkIdentity, isOfLoop, readCheckpoint, stateOfObjective } from "./checkpoint.ts";
import { type Communicator, isAnyRank } from "./distributed/communicator.ts";
import { replicasOver } from "./distributed/replicas.ts";
import { checkSameOnAll } from "./distributed/same_on_all.ts";
import { SingleCommunicator } from "./distributed/single.ts";
import { DivergedError } from "./diverged.ts";
import type { RunFolder } from "./run_folder.ts";
import { addScalars, meansOf, noSums, ScalarBuffer, type ScalarSums } from "./scalars.ts";

/** The state of the loop, which a checkpoint stores besides the state of the objective. */
class LoopState extends Module {
  readonly step: Counter = new Counter();
  readonly average: AveragedWeights | undefined;

  constructor({ model }: Objective, averageDecay: number | null) {
    super();
    if (averageDecay !== null) {
      this.average = new AveragedWeights(model.namedParameters(), averageDecay);
    }
  }
}

/** The best epoch so far: its number, and the metric that ranks epochs, under its name. */
export type BestEpoch = Readonly<Record<string, number>> & { readonly epoch: number };

/** Records that a run carries from step to step besides its state: the sums of the epoch so far, and the best epoch.
 * Plain JSON, saved with every checkpoint. */
interface Carried extends ScalarSums {
  best: BestEpoch | null;
}

/** The progress of a run, reported at regular intervals of steps. */
export interface TrainingProgress {
  /** Steps taken. */
  readonly step: number;
  /** Steps in the whole run. */
  readonly totalSteps: number;
  /** The current epoch, counted from 1. */
  readonly epoch: number;
  /** Means over the steps since the last report. */
  readonly scalars: Scalars;
  /** The objective's inspection of these steps. */
  readonly inspection: Inspection;
  /** Training images per second since the last report. */
  readonly imagesPerSecond: number;
}

/** The result of an epoch. */
export interface EpochSummary {
  /** The epoch, counted from 1. */
  readonly epoch: number;
  /** Means over its steps. */
  readonly train: Scalars;
  /** The objective's inspection of this epoch. */
  readonly inspection: Inspection;
  /** The part of the data set that was measured. */
  readonly split: "validation" | "test";
  /** The evaluation of the model on all images of that part. */
  readonly test: ObjectiveEvaluation;
}

/** The result of a run. */
export interface TrainingSummary {
  /** Steps taken. */
  readonly steps: number;
  /** Whether all steps were taken; false after an interruption. */
  readonly finished: boolean;
  /** The evaluation of the final model on the whole test set; undefined after an interruption. */
  readonly test?: ObjectiveEvaluation;
  /** The best epoch; null before the end of the first epoch. */
  readonly best: BestEpoch | null;
  /** Training images per second in this session, without evaluation; null if there was no step left to take. */
  readonly imagesPerSecond: number | null;
}

/** Options of `train`. */
export interface TrainOptions {
  /** The device to compute on. */
  readonly device: Device;
  /** The objective to minimise, with its model. */
  readonly objective: Objective;
  /** The data set. */
  readonly dataset: Dataset;
  /** Held-out images, as the test part of a data set, which select the best epoch. The test images are then measured
   * only once, at the end. By default, the test images select the best epoch. */
  readonly heldOut?: Dataset;
  /** Seed of the order of the images and of random choices. */
  readonly seed: number;
  /** Images per step. */
  readonly batchSize: number;
  /** Passes over the training images. */
  readonly epochs: number;
  /** Ends the run after this many steps, if that is earlier. */
  readonly maxSteps?: number;
  /** Decay of a moving average of the model's parameters, which is used for evaluation and samples; by default there is
   * none. */
  readonly averageDecay?: number | null;
  /** Steps between two reports. */
  readonly logEverySteps: number;
  /** Steps between two checkpoints; there is also one at the end of every epoch. */
  readonly checkpointEverySteps: number;
  /** The folder for the run's files. */
  readonly folder: RunFolder;
  /** The settings that a checkpoint must agree with to be resumed, by configuration path. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Continues from the folder's last checkpoint. */
  readonly resume?: boolean;
  /** Ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Connects the processes that train together; by default there is one. Each processes an equal part of every batch.
   * All take the same options except the folder, which only one of them writes; see `ReadOnlyRunFolder`. */
  readonly communicator?: Communicator;
  /** Called with the progress of the run. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Called if the recorded history ends before the checkpoint that the run continues from, for example after a power
   * failure. */
  readonly onGap?: (recorded: number, step: number) => void;
  /** Called with what the user should know about the preparations. */
  readonly onMessage?: (message: string) => void;
  /** Called with the result of each epoch. */
  readonly onEpoch?: (summary: EpochSummary) => void;
  /** Called with the profile of one step: the tenth of this session, or its last step if that is earlier. */
  readonly onProfile?: (profile: Profile) => Promise<void> | void;
}

/** Steps before the profiled one. By then kernels are compiled and memory is allocated. */
const WARM_UP = 9;

const ALONE = new SingleCommunicator();

/** Trains a model with an objective, and writes measurements, checkpoints (the first before the first step) and samples
 * to the run's folder.
 *
 * At the end it also writes the model alone to `checkpoints/weights.safetensors`, which is a third of the size of a
 * checkpoint.
 *
 * A run that is killed at any time and resumed gives the same bytes in its final checkpoint as a run without
 * interruption.
 *
 * ```ts
 * import {
 *   Adam, memoryDataset, openDevice, randomKey, ReconstructionObjective, RunFolder, train, uniform,
 *   VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(7, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = await uniform(device, [8, 8, 8, 1], key, -1, 1).floats();
 * const imageShape = [8, 8, 1] as const;
 * const dataset = memoryDataset({ name: "noise", imageShape, train: images, test: images });
 * const objective = new ReconstructionObjective(device, {
 *   model,
 *   optimizer: new Adam(model.namedParameters()),
 *   dataset,
 *   stepsPerEpoch: 2,
 *   learningRate: () => 3e-4,
 * });
 * const path = await Deno.makeTempDir();
 * const { finished, test } = await train({
 *   device,
 *   objective,
 *   dataset,
 *   seed: 7,
 *   batchSize: 4,
 *   epochs: 2,
 *   logEverySteps: 10,
 *   checkpointEverySteps: 10,
 *   folder: new RunFolder(path),
 *   identity: { "quantizer.type": "vanilla" },
 * });
 * assert.ok(finished);
 * console.log(test?.numbers.mse);
 * await Deno.remove(path, { recursive: true });
 * ```
 * @throws {DivergedError} a loss or a part of the state is no longer finite; the last good checkpoint is kept
 * @throws {Error} there is no checkpoint to resume from, the folder cannot be written, or the states of the processes
 * that train together differ
 * @throws {TypeError} several processes train together on a device whose memory the host cannot access
 * @throws {RangeError} the checkpoint to resume from is damaged or of another configuration, or the batch size is
 * larger than the training set or not a multiple of the number of processes
 */
export async function train(options: TrainOptions): Promise<TrainingSummary> {
  using run = new Run(options);
  return await run.start();
}

class Run implements Disposable {
  readonly #options: TrainOptions;
  readonly #communicator: Communicator;
  readonly #replicas: Replicas;
  readonly #state: LoopState;
  readonly #pending: ScalarBuffer;
  readonly #stepsPerEpoch: number;
  readonly #totalSteps: number;
  #carried: Carried;
  #images = 0;
  #seconds = 0;
  #profiledStep: number | undefined;

  constructor(options: TrainOptions) {
    const { device, objective, dataset, batchSize, epochs } = options;
    const { maxSteps = Infinity, averageDecay = null, communicator = ALONE } = options;
    this.#options = options;
    this.#communicator = communicator;
    this.#replicas = replicasOver(communicator, device);
    this.#stepsPerEpoch = stepsPerEpoch(dataset, batchSize);
    this.#state = new LoopState(objective, averageDecay);
    this.#pending = new ScalarBuffer(objective.scalars, this.#replicas);
    this.#carried = { ...noSums(objective.scalars), best: null };
    this.#totalSteps = Math.min(epochs * this.#stepsPerEpoch, maxSteps);
  }

  [Symbol.dispose](): void {
    this.#pending[Symbol.dispose]();
    this.#state.dispose();
  }

  async start(): Promise<TrainingSummary> {
    const { device, objective, resume = false, folder, onProfile, onMessage } = this.#options;
    if (resume) await this.#restore();
    await objective.prepare(device, this.#replicas, onMessage);
    this.#communicator.barrier("for all ranks to be ready", Infinity);
    if (this.#replicas.count > 1) this.#checkSame(await this.#wholeState());
    const end = await folder.begin(this.#step, this.#owesEvaluation);
    if (end !== undefined) this.#options.onGap?.(end, this.#step);
    if (!resume) await this.#save("last");
    if (onProfile !== undefined) {
      this.#profiledStep = Math.min(this.#step + WARM_UP, this.#totalSteps - 1);
    }
    try {
      let test = this.#owesEvaluation ? await this.#endEpoch() : undefined;
      while (this.#step < this.#totalSteps) {
        if (!await this.#epoch()) return this.#summary(undefined);
        test = await this.#endEpoch();
      }
      await this.#saveWeights();
      const isTested = test !== undefined && this.#options.heldOut === undefined;
      return this.#summary(isTested ? test : await this.#evaluate("test"));
    } catch (error) {
      if (error instanceof Interrupted) return this.#summary(undefined);
      throw error;
    }
  }

  get #step(): number {
    return this.#state.step.value;
  }

  /** The epoch of the current step, counted from 0. */
  get #epochIndex(): number {
    return Math.floor(this.#step / this.#stepsPerEpoch);
  }

  /** Whether an evaluation is still to be done: the run was stopped between the last step of an epoch and the end of
   * its evaluation. */
  get #owesEvaluation(): boolean {
    const isAtEnd = this.#step % this.#stepsPerEpoch === 0 || this.#step >= this.#totalSteps;
    return isAtEnd && this.#carried.steps > 0;
  }

  #summary(test: ObjectiveEvaluation | undefined): TrainingSummary {
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
    const { dataset, seed, batchSize, logEverySteps, checkpointEverySteps } = this.#options;
    const epoch = this.#epochIndex, part = this.#replicas;
    const skip = this.#step % this.#stepsPerEpoch;
    let started = performance.now();
    for await (const batch of trainingBatches(dataset, { seed, batchSize, epoch, skip, part })) {
      if (await this.#isStopped()) {
        await this.#report(started);
        await this.#save("last");
        return false;
      }
      if (this.#step === this.#profiledStep) await this.#profileOn(batch);
      else this.#trainOn(batch);
      const ended = this.#step % this.#stepsPerEpoch === 0 || this.#step === this.#totalSteps;
      const checkpoint = ended || this.#step % checkpointEverySteps === 0;
      if (checkpoint || this.#step % logEverySteps === 0) {
        await this.#report(started);
        if (checkpoint) await this.#save("last");
        started = performance.now();
      }
      if (ended) break;
    }
    return true;
  }

  /** Whether any rank has received the signal. */
  async #isStopped(): Promise<boolean> {
    await turn(); // Allows the signal to arrive even if a step never waits.
    const { signal } = this.#options;
    return isAnyRank(this.#communicator, signal?.aborted === true, "to stop");
  }

  #trainOn({ images, labels, indices, count }: Batch): void {
    const { device, objective, dataset, seed } = this.#options;
    using scope = device.scope();
    const batch = {
      images: device.tensor(images, [count, ...dataset.imageShape]),
      labels: labels && device.tensor(labels, [count]),
      indices,
    };
    const step = this.#step, replicas = this.#replicas;
    const context = { training: true, key: randomKey(seed, "quantizer", step), step, replicas };
    this.#pending.add(objective.step(batch, context), scope);
    this.#state.average?.update();
    this.#state.step.value++;
  }

  async #profileOn(batch: Batch): Promise<void> {
    const { device, batchSize, onProfile } = this.#options;
    const title = `step ${this.#step + 1}, batch ${batchSize}`;
    await onProfile?.(await profile(device, title, () => this.#trainOn(batch)));
  }

  /** Reads the scalars of the steps since the last report, checks them, sums them, and reports them. */
  async #report(started: number): Promise<void> {
    const { batchSize, folder, objective, onProgress } = this.#options;
    const first = this.#step - this.#pending.length;
    if (this.#pending.length === 0) return;
    const rows = await this.#pending.take();
    const window = noSums(objective.scalars);
    rows.forEach((row, index) => {
      for (const [name, value] of Object.entries(row)) {
        if (!Number.isFinite(value)) {
          throw new DivergedError(first + index + 1, name, value, folder.checkpoint("last"));
        }
      }
      addScalars(this.#carried, row);
      addScalars(window, row);
    });
    const seconds = (performance.now() - started) / 1000;
    this.#images += rows.length * batchSize;
    this.#seconds += seconds;
    const scalars = meansOf(window);
    const progress: TrainingProgress = {
      step: this.#step,
      totalSteps: this.#totalSteps,
      epoch: this.#epochOfLastStep,
      scalars,
      inspection: await objective.inspect(scalars),
      imagesPerSecond: rows.length * batchSize / seconds,
    };
    await folder.log({
      kind: "step",
      step: progress.step,
      epoch: progress.epoch,
      ...scalars,
      ...progress.inspection.record,
      ...objective.learningRates(this.#step - 1),
    });
    onProgress?.(progress);
  }

  /** The epoch of the last completed step, counted from 1. */
  get #epochOfLastStep(): number {
    return Math.floor((this.#step - 1) / this.#stepsPerEpoch) + 1;
  }

  /** Evaluates the model, with its averaged weights if it has any.
   * @throws {Interrupted} the signal was received
   */
  async #evaluate(split: "validation" | "test"): Promise<ObjectiveEvaluation> {
    const { objective, dataset, heldOut, batchSize, seed } = this.#options;
    using _averaged = this.#state.average?.apply();
    const measured = split === "validation" && heldOut !== undefined ? heldOut : dataset;
    const part = objective.measuresParts ? this.#replicas : SINGLE;
    const batches = evaluationBatches(measured, { split: "test", batchSize, part });
    const most = Math.ceil(measured.sizes.test / batchSize / part.count);
    const context = { training: false, key: randomKey(seed, "evaluation"), replicas: part };
    return await objective.evaluate(split, this.#untilStopped(batches, most), context);
  }

  /** Yields batches until the signal is received.
   * @param most the largest number of batches of any rank; all ranks check for the signal equally often
   * @throws {Interrupted} the signal was received
   */
  async *#untilStopped(batches: AsyncIterable<Batch>, most: number): AsyncGenerator<Batch> {
    const goOn = async () => {
      if (await this.#isStopped()) throw new Interrupted();
    };
    let taken = 0;
    for await (const batch of batches) {
      await goOn();
      yield batch;
      taken++;
    }
    for (; taken < most; taken++) await goOn();
  }

  async #endEpoch(): Promise<ObjectiveEvaluation> {
    const { folder, objective, onEpoch } = this.#options;
    const epoch = this.#epochOfLastStep;
    const train = meansOf(this.#carried);
    const inspection = await objective.inspect(train);
    const split = this.#options.heldOut === undefined ? "test" : "validation";
    const test = await this.#evaluate(split);
    const { numbers, protocol, rankBy, better, series, counts } = test;
    const value = fromJsonNumber(numbers[rankBy]);
    if (!Number.isFinite(value)) {
      throw new DivergedError(this.#step, `${split} ${rankBy}`, value, folder.checkpoint("last"));
    }
    await folder.log({
      kind: "epoch",
      epoch,
      step: this.#step,
      train,
      ...inspection.record,
      [split]: { ...numbers, protocol },
      ...series && { series },
    });
    const before = this.#carried.best?.[rankBy];
    const isBest = before === undefined || (better === "lower" ? value < before : value > before);
    const best = isBest ? { epoch, [rankBy]: value } : this.#carried.best;
    this.#carried = { ...noSums(objective.scalars), best };
    objective.endEpoch();
    if (counts !== undefined) await folder.logCounts(this.#step, counts);
    await this.#saveSamples(epoch);
    await this.#save(...isBest ? ["best", "last"] as const : ["last"] as const);
    onEpoch?.({ epoch, train, inspection, split, test });
    return test;
  }

  /** Draws the samples: all ranks together if the objective can, otherwise one rank, and the others wait. */
  async #saveSamples(epoch: number): Promise<void> {
    const { drawsParts } = this.#options.objective;
    const replicas = drawsParts ? this.#replicas : SINGLE;
    if (drawsParts || this.#communicator.rank === 0) await this.#drawSamples(epoch, replicas);
    this.#communicator.barrier("for the samples", Infinity);
  }

  async #drawSamples(epoch: number, replicas: Replicas): Promise<void> {
    const { device, folder, objective, seed } = this.#options;
    using _averaged = this.#state.average?.apply();
    const context = { training: false, key: randomKey(seed, "samples"), replicas };
    const png = await objective.samples(device, context);
    if (png !== undefined) await folder.saveSamples({ epoch, step: this.#step }, png);
  }

  /** The state of the loop and the objective. */
  async #wholeState(): Promise<StateDictionary> {
    const { step, ...loop } = Object.fromEntries(await this.#state.stateDictionary());
    return new Map([
      ["step", step],
      ...await this.#options.objective.stateDictionary(),
      ...Object.entries(loop),
    ]);
  }

  /** Throws if the states of the ranks differ. */
  #checkSame(state: StateDictionary): void {
    const values = new Map([...state].map(([name, entry]) => [name, entry.values]));
    checkSameOnAll(this.#communicator, values, `after step ${this.#step}`);
  }

  /** Writes the state under each of the names, unless it has values that are not finite. One rank writes; the others
   * wait. */
  async #save(...names: readonly ("last" | "best")[]): Promise<void> {
    const { folder, identity } = this.#options;
    const state = await this.#wholeState();
    const broken = findNonFinite(state);
    if (broken !== undefined) {
      throw new DivergedError(this.#step, ...broken, folder.checkpoint("last"));
    }
    this.#checkSame(state);
    await folder.sync();
    for (const name of names) {
      await folder.saveCheckpoint(name, state, { identity, carried: this.#carried });
    }
    this.#communicator.barrier("for the checkpoint", Infinity);
  }

  /** Writes only the model, as it is evaluated: enough to use it, but not to resume training. */
  async #saveWeights(): Promise<void> {
    const { folder, identity, objective } = this.#options;
    using _averaged = this.#state.average?.apply();
    const state = [...await objective.model.stateDictionary()]
      .map(([name, entry]) => [`model.${name}`, entry] as const);
    const header = { identity, carried: null };
    await folder.saveCheckpoint("weights", new Map(state), header);
  }

  async #restore(): Promise<void> {
    const { folder, identity, objective } = this.#options;
    const path = folder.checkpoint("last");
    const { identity: saved, carried, state } = await readCheckpoint(path);
    checkIdentity(path, saved, identity);
    this.#state.loadStateDictionary(new Map([...state].filter(([name]) => isOfLoop(name))));
    objective.loadStateDictionary(stateOfObjective(state));
    this.#carried = carried as Carried;
  }
}

/** Ends an evaluation after a signal. The run can be resumed from the checkpoint before the evaluation. */
class Interrupted extends Error {}

/** The name of the first entry with a value that is not finite, and the value. */
function findNonFinite(state: StateDictionary): [name: string, value: number] | undefined {
  for (const [name, { values }] of state) {
    for (const value of values) if (!Number.isFinite(value)) return [name, value];
  }
}
