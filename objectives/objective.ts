/** What a run minimises and how it is judged: the one thing that the training loop knows. */
import type { Device, Tensor } from "../core/tensor.ts";
import type { JsonNumber } from "../files/json_number.ts";
import type { Batch } from "../data/batches.ts";
import type { MeasuredSplit } from "../data/dataset.ts";
import { type Context, Module } from "../nn/module.ts";

/** What a step works on, on the device. */
export interface TrainingBatch {
  /** float32 `[B, H, W, C]` in [−1, 1]. */
  readonly images: Tensor;
  /** int32 `[B]`: the class of each image, where the data set tells. */
  readonly labels?: Tensor;
  /** Which training images they are, on the host, where those lie by index. */
  readonly indices?: Int32Array;
}

/** Which step it is, and who takes it: where several processes train together, each has an equal part of the batch. */
export interface StepContext extends Context {
  /** The training step, counted from 0. */
  readonly step: number;
}

/** Scalars by name, on the host. */
export type Scalars = Readonly<Record<string, number>>;

/** A few words, and how much they matter: where a line has no room for all, those that matter least go first. */
export type Phrase = readonly [text: string, weight: number];

/** What there is to say of a stretch of training. */
export interface Inspection {
  /** What is recorded of it besides the means of its scalars; JSON values by name. */
  readonly record: Readonly<Record<string, unknown>>;
  /** For the line that shows progress. */
  readonly phrases: readonly Phrase[];
  /** For the end of an epoch. */
  readonly summary: readonly string[];
  /** What a person should know and perhaps change. */
  readonly warning?: string;
}

/** What an evaluation came to. */
export interface ObjectiveEvaluation {
  /** The numbers by name. */
  readonly numbers: Readonly<Record<string, JsonNumber>>;
  /** The hash of the protocol that they were measured by. */
  readonly protocol: string;
  /** The number that checkpoints are ranked by. */
  readonly rankBy: string;
  /** Which way it is better. */
  readonly better: "lower" | "higher";
  /** The protocols by hash. */
  readonly protocols: Readonly<Record<string, object>>;
  /** The numbers as people read them: `["mse", "0.01995"]`. */
  readonly shown: readonly (readonly [name: string, value: string])[];
  /** Numbers along an axis, by name, such as one of every position in the grid of codes. */
  readonly series?: Readonly<Record<string, readonly number[]>>;
  /** How often each code was chosen, `[K]`, where the objective quantises. */
  readonly counts?: Int32Array;
}

/** What one step minimises, and how the result is judged. An objective owns its networks and their optimisers: they are
 * its public fields, and its state is what a checkpoint keeps of it. The model that a run is for is its field `model`:
 * its entries in the checkpoint begin with `model.`.
 *
 * A new objective is a subclass in a file of its own and a line in `objectives/registry.ts`; see
 * `examples/own_objective.ts`.
 */
export abstract class Objective extends Module {
  /** What the run is for: averaged weights are of its parameters. */
  abstract readonly model: Module;

  /** The names of the scalars that a step gives; the first is the loss. */
  abstract readonly scalars: readonly string[];

  /** Does what is to be done once before the first step of a session, as to measure the data; what it finds and a
   * checkpoint keeps is not sought again. By default nothing.
   * @param device where the model is
   */
  prepare(_device: Device): Promise<void> {
    return Promise.resolve();
  }

  /** Takes a training step: the forward pass, the gradients, the optimisers' steps. Nothing is read back.
   *
   * One that several processes can train together hands `context.replicas` to `Update.step`, and asks it for whatever
   * else is of the whole batch: the state is then the same on all of them after the step.
   * @returns scalars on the device, one of each name: means over this process's part of the batch, or the same on all
   */
  abstract step(batch: TrainingBatch, context: StepContext): Readonly<Record<string, Tensor>>;

  /** Whether several processes can measure the model together, each other batches; by default every process measures all
   * of them. */
  get measuresParts(): boolean {
    return false;
  }

  /** Measures the model as it is. If `context.replicas` is given, the batches are those of this process; what is
   * returned is of the images of all, the same on each.
   * @param split which part of the data set the batches are
   * @throws {RangeError} there is no batch
   */
  abstract evaluate(
    split: MeasuredSplit,
    batches: AsyncIterable<Batch>,
    context: Context,
  ): Promise<ObjectiveEvaluation>;

  /** The learning rates of a step, counted from 0, as they are recorded. */
  abstract learningRates(step: number): Scalars;

  /** Says how the training goes. By default the loss alone.
   * @param means of the scalars over the steps since the last report, or of an epoch
   */
  inspect(means: Scalars): Promise<Inspection> {
    const [loss] = this.scalars;
    const phrase = `${loss} ${means[loss].toPrecision(4)}`;
    return Promise.resolve({ record: {}, phrases: [[phrase, 5]], summary: [phrase] });
  }

  /** Hears that an epoch has ended. By default nothing. */
  endEpoch(): void {}

  /** Draws what a person looks at after an epoch, as a PNG. By default nothing. */
  samples(_device: Device, _context: Context): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return Promise.resolve(undefined);
  }
}
