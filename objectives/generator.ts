/** Objectives whose model makes new images. */
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { Objective } from "./objective.ts";
import type { Trace } from "./trace.ts";

/** Images of which a part is known, as codes. */
export interface Given {
  /** The codes, `[count, h, w, ...codeAxes]`; what stands where none is known does not matter. */
  readonly codes: Int32Array;
  /** `[count, h, w]`: 1 where the codes are known, 0 where they are to be made. */
  readonly known: Uint8Array;
}

/** What is asked of a generator. */
export interface GenerateRequest {
  /** How many images. */
  readonly count: number;
  /** Of everything random: image i depends on the key and i alone, whatever is made beside it. */
  readonly key: RandomKey;
  /** The class of each image, `[count]`, of a model that was told the classes; none: any. */
  readonly labels?: Int32Array;
  /** How to sample: settings of the objective's `sampling` schema, checked. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What is known of the images, of a generator of codes: only the rest is made. */
  readonly given?: Given;
  /** Images made at once, at most; 64. */
  readonly batchSize?: number;
  /** Collects what the first batch looks like on the way. */
  readonly trace?: Trace;
  /** Hears how much is done, of how much. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** What a generator made. */
export interface Generated {
  /** The values of `[count, height, width, channels]`, about [−1, 1]. */
  readonly images: Float32Array<ArrayBuffer>;
  /** The codes that the images were decoded from, where there are some. */
  readonly codes?: Int32Array<ArrayBuffer>;
  /** The codes of one image: `[h, w, ...codeAxes]`. */
  readonly codeShape?: readonly number[];
}

/** An objective that trains a generator. */
export abstract class Generator extends Objective {
  /** How many classes the model was told of; 0 where it was told of none. */
  abstract readonly classes: number;

  /** Makes images. Nothing is drawn but from the request's key.
   * @throws {RangeError} the settings do not fit the model, or there is no such class
   */
  abstract generate(device: Device, request: GenerateRequest): Promise<Generated>;

  /** Rejects classes that the model does not know, and another number of them than of images.
   * @throws {RangeError} as `generate`
   */
  protected checkLabels({ count, labels }: GenerateRequest): void {
    if (labels === undefined) return;
    if (this.classes === 0) {
      throw new RangeError(
        "Cannot sample a class: the model must have been trained with classes, got one that was told of none",
      );
    }
    if (labels.length !== count) {
      throw new RangeError(`Cannot sample: there must be ${count} classes, got ${labels.length}`);
    }
    const wrong = labels.find((label) => label < 0 || label >= this.classes);
    if (wrong === undefined) return;
    throw new RangeError(`Cannot sample: a class must be in [0, ${this.classes}), got ${wrong}`);
  }
}
