/** Several processes measure pairs of images together. Each measures its own batches, and the first one combines all
 * measurements. */
import type { Device } from "../core/tensor.ts";
import type { Images } from "../metrics/images.ts";
import type { Replicas } from "../nn/replicas.ts";
import { gatherParts } from "../objectives/gather_rows.ts";
import type { ImageEvaluation } from "./image_evaluation.ts";

/** A batch of pairs of images, with further numbers. */
export interface MeasuredPairs {
  /** The images in [−1, 1]. */
  readonly originals: Images;
  /** Their reconstructions. */
  readonly reconstructions: Images;
  /** Numbers that are passed on with the batch. */
  readonly beside: Float32Array;
}

/** Adds batches to an evaluation in rounds. In each round, every rank adds its next batch, as long as it has one. */
export class SharedEvaluation {
  readonly #evaluation: ImageEvaluation;
  readonly #device: Device;
  readonly #replicas: Replicas;
  readonly #names: readonly string[];
  readonly #onBatch: (beside: Float64Array, images: number) => void;

  /** Starts without batches.
   * @param onBatch called on the first rank with each batch of all ranks, in order
   */
  constructor(
    evaluation: ImageEvaluation,
    device: Device,
    replicas: Replicas,
    onBatch: (beside: Float64Array, images: number) => void,
  ) {
    this.#evaluation = evaluation;
    this.#device = device;
    this.#replicas = replicas;
    this.#names = evaluation.names;
    this.#onBatch = onBatch;
  }

  /** Adds a round: this rank's batch, and those of the others.
   * @throws {Error} the ranks do not have the same metrics
   */
  async add(pairs: MeasuredPairs): Promise<void> {
    const { originals, reconstructions, beside } = pairs;
    const measured = await this.#evaluation.measure(originals, reconstructions);
    const parts = this.#names.map((name) => measured.get(name) ?? new Float64Array());
    const all = [codesOf(this.#names), ...parts, beside];
    const header = [originals.shape[0], all.length, ...all.map(({ length }) => length)];
    await this.#exchange(joined([header, ...all]));
  }

  /** Takes part in the remaining rounds, while other ranks have more batches than this one. */
  async end(): Promise<void> {
    if (this.#replicas.count === 1) return;
    while (await this.#exchange(new Float64Array()));
  }

  /** Sends this rank's batch, and adds the batches of all ranks on the first one. Returns false if no rank has a batch. */
  async #exchange(own: Float64Array<ArrayBuffer>): Promise<boolean> {
    this.#replicas.wait("for a batch that is measured");
    const batches = await gatherParts(this.#device, own, this.#replicas);
    const given = batches.filter(({ length }) => length > 0);
    if (this.#replicas.rank === 0) { for (const batch of given) this.#take(batch); }
    return given.length > 0;
  }

  #take(batch: Float64Array): void {
    const [images, count] = batch, lengths = batch.subarray(2, 2 + count);
    let at = 2 + count;
    const [names, ...parts] = Array.from(lengths, (length) => batch.subarray(at, at += length));
    if (names.join() !== codesOf(this.#names).join()) {
      throw new Error(
        `Cannot measure over ${this.#replicas.count} processes: all must have the metrics of the first, ${this.#names.join()}, got ${
          String.fromCharCode(...names) || "none"
        }`,
      );
    }
    const measured = new Map<string, Float64Array>();
    for (const [index, name] of this.#names.entries()) {
      if (parts[index].length > 0) measured.set(name, parts[index]);
    }
    this.#evaluation.take(measured, images);
    this.#onBatch(parts[this.#names.length], images);
  }
}

/** Encodes names as numbers. */
function codesOf(names: readonly string[]): readonly number[] {
  return Array.from(names.join(), (letter) => letter.charCodeAt(0));
}

function joined(parts: readonly ArrayLike<number>[]): Float64Array<ArrayBuffer> {
  const whole = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
