/** The interface of every objective: what a run minimises, and how the result is evaluated. The training loop depends
 * only on this interface. */
import type { Device, Tensor } from "../core/tensor.ts";
import type { JsonNumber } from "../files/json_number.ts";
import type { Batch } from "../data/batches.ts";
import type { MeasuredSplit } from "../data/dataset.ts";
import { type Context, Module } from "../nn/module.ts";
import type { Replicas } from "../nn/replicas.ts";

/** The training batch of a step, on the device. */
export interface TrainingBatch {
  /** float32 `[B, H, W, C]` in [−1, 1]. */
  readonly images: Tensor;
  /** int32 `[B]`: the class of each image, if the data set has classes. */
  readonly labels?: Tensor;
  /** The indices of the training images, on the host, if the data set has random access. */
  readonly indices?: Int32Array;
}

/** The step and the processes that make it. If several processes train together, each gets an equal part of the
 * batch. */
export interface StepContext extends Context {
  /** The training step, counted from 0. */
  readonly step: number;
}

/** Scalars by name, on the host. */
export type Scalars = Readonly<Record<string, number>>;

/** A few words and their importance. If a line is too short for all phrases, those of lowest importance are dropped
 * first. */
export type Phrase = readonly [text: string, weight: number];

/** A report on a part of the training. */
export interface Inspection {
  /** What is recorded besides the means of the scalars: JSON values by name. */
  readonly record: Readonly<Record<string, unknown>>;
  /** Phrases for the progress line. */
  readonly phrases: readonly Phrase[];
  /** Phrases for the end of an epoch. */
  readonly summary: readonly string[];
  /** A warning for the user, who may have to change something. */
  readonly warning?: string;
}

/** The result of an evaluation. */
export interface ObjectiveEvaluation {
  /** The numbers by name. */
  readonly numbers: Readonly<Record<string, JsonNumber>>;
  /** The hash of the protocol of the measurement. */
  readonly protocol: string;
  /** The name of the number that ranks checkpoints. */
  readonly rankBy: string;
  /** Whether lower or higher is better. */
  readonly better: "lower" | "higher";
  /** The protocols by hash. */
  readonly protocols: Readonly<Record<string, object>>;
  /** The numbers as they are displayed: `["mse", "0.01995"]`. */
  readonly shown: readonly (readonly [name: string, value: string])[];
  /** Series of numbers by name, for example one number for each position in the grid of codes. */
  readonly series?: Readonly<Record<string, readonly number[]>>;
  /** How often each code was chosen, `[K]`, if the objective quantises. */
  readonly counts?: Int32Array;
}

/** What a step minimises, and how the result is evaluated. An objective owns its networks and their optimisers. They
 * are its public fields, and a checkpoint keeps its state. The field `model` holds the model that the run trains; its
 * entries in the checkpoint begin with `model.`.
 *
 * To add an objective, write a subclass in its own file and add a line in `objectives/registry.ts`; see
 * `examples/own_objective.ts`.
 */
export abstract class Objective extends Module {
  /** The model that the run trains. Weight averaging applies to its parameters. */
  abstract readonly model: Module;

  /** The names of the scalars that a step returns; the first is the loss. */
  abstract readonly scalars: readonly string[];

  /** Called once before the first step of a session, for example to measure the data. Results that a checkpoint keeps
   * are not computed again. By default it does nothing.
   * @param device the device of the model
   * @param replicas the processes that train together; by default one
   * @param onMessage called with what the user should know
   */
  prepare(
    _device: Device,
    _replicas?: Replicas,
    _onMessage?: (message: string) => void,
  ): Promise<void> {
    return Promise.resolve();
  }

  /** Makes a training step: the forward pass, the gradients, the optimisers' steps. It reads nothing back from the
   * device.
   *
   * To support several processes, pass `context.replicas` to `Update.step`, and use it for everything else that depends
   * on the whole batch. Then all processes have the same state after the step.
   * @returns scalars on the device, one for each name: means over this process's part of the batch, or values that are
   * the same on all processes
   */
  abstract step(batch: TrainingBatch, context: StepContext): Readonly<Record<string, Tensor>>;

  /** Whether several processes can measure the model together, each with its own batches. By default every process
   * measures all batches. */
  get measuresParts(): boolean {
    return false;
  }

  /** Measures the model in its current state. If `context.replicas` is given, `batches` are those of this process. The
   * result covers the images of all processes and is the same on each.
   * @param split the part of the data set that the batches come from
   * @throws {RangeError} there is no batch
   */
  abstract evaluate(
    split: MeasuredSplit,
    batches: AsyncIterable<Batch>,
    context: Context,
  ): Promise<ObjectiveEvaluation>;

  /** The learning rates of a step, counted from 0, as they are recorded. */
  abstract learningRates(step: number): Scalars;

  /** Reports on the training. By default it reports only the loss.
   * @param means the means of the scalars over the steps since the last report, or over an epoch
   */
  inspect(means: Scalars): Promise<Inspection> {
    const [loss] = this.scalars;
    const phrase = `${loss} ${means[loss].toPrecision(4)}`;
    return Promise.resolve({ record: {}, phrases: [[phrase, 5]], summary: [phrase] });
  }

  /** Called at the end of an epoch. By default it does nothing. */
  endEpoch(): void {}

  /** Whether several processes can draw the samples together. By default the first one draws them alone. */
  get drawsParts(): boolean {
    return false;
  }

  /** Draws samples to look at after an epoch, as a PNG. By default it draws nothing. If `context.replicas` is given,
   * these processes draw them together, and each returns the same. */
  samples(_device: Device, _context: Context): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return Promise.resolve(undefined);
  }
}
