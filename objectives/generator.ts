/** Objectives whose model generates images. */
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { Objective } from "./objective.ts";
import type { Trace } from "./trace.ts";

/** The known part of images, as codes. */
export interface Given {
  /** The codes, `[count, h, w, ...codeAxes]`. Entries at unknown positions are ignored. */
  readonly codes: Int32Array;
  /** `[count, h, w]`: 1 where the codes are known, 0 where they are to be generated. */
  readonly known: Uint8Array;
}

/** A request to generate images. */
export interface GenerateRequest {
  /** How many images. */
  readonly count: number;
  /** The key of all random numbers. Image i depends only on the key and on i, not on the other images. */
  readonly key: RandomKey;
  /** The class of each image, `[count]`, for a model with classes. Without labels, any class. */
  readonly labels?: Int32Array;
  /** The sampling settings, of the objective's `sampling` schema. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** For a generator of codes: the known part of the images. Only the rest is generated. */
  readonly given?: Given;
  /** The largest number of images generated at once; by default 64. */
  readonly batchSize?: number;
  /** Collects intermediate images of the first batch. */
  readonly trace?: Trace;
  /** Called with the amount that is done and the total. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** The result of `generate`. */
export interface Generated {
  /** The values of `[count, height, width, channels]`, roughly in [−1, 1]. */
  readonly images: Float32Array<ArrayBuffer>;
  /** The codes that the images were decoded from, if the generator has codes. */
  readonly codes?: Int32Array<ArrayBuffer>;
  /** The codes of one image: `[h, w, ...codeAxes]`. */
  readonly codeShape?: readonly number[];
}

/** An objective that trains a generator. */
export abstract class Generator extends Objective {
  /** The number of classes that the model is conditioned on; 0 without classes. */
  abstract readonly classes: number;

  /** Generates images. All random numbers come from the request's key.
   * @throws {RangeError} the settings do not fit the model, or a class does not exist
   */
  abstract generate(device: Device, request: GenerateRequest): Promise<Generated>;

  /** Rejects labels that the model does not have, and a number of labels that differs from the number of images.
   * @throws {RangeError} as `generate`
   */
  protected checkLabels({ count, labels }: GenerateRequest): void {
    if (labels === undefined) return;
    if (this.classes === 0) {
      throw new RangeError(
        "Cannot sample a class: the model must have been trained with classes, got one without classes",
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
