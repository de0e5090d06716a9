/** Objectives whose model generates images. */
import type { RandomKey } from "../core/random.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { joinParts, ownRows, type Rows, workTogether } from "./gather_rows.ts";
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
  /** The largest number of images generated at once, by all processes together; by default 64. */
  readonly batchSize?: number;
  /** Collects intermediate images of the first batch. The first process then generates this batch alone. */
  readonly trace?: Trace;
  /** Called with the number of finished images, in which unfinished ones count as fractions, and the total. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
  /** The processes that generate the images together, all with the same request. Each generates an equal part of every
   * batch, and gets all images. By default, this process generates all images. */
  readonly replicas?: Replicas;
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

/** A part of a request's images. */
export interface DrawnPart extends Rows {
  /** Called with the fraction that is done, and a function that returns the current images, `[count, height, width,
   * channels]`. */
  readonly onShare: (
    share: number,
    images: () => Promise<Float32Array<ArrayBuffer>>,
  ) => Promise<void>;
}

/** How the images of a request are drawn. */
export interface Drawing {
  /** `[height, width, channels]`. */
  readonly imageShape: Shape;
  /** The shape of an image's codes, if the generator has codes. */
  readonly codeShape?: Shape;
  /** Draws a part of the images, and their codes if there is a `codeShape`. */
  draw(part: DrawnPart): Promise<Pick<Generated, "images" | "codes">>;
}

/** The number of images generated at once by default. */
const BATCH = 64;

/** An objective that trains a generator. */
export abstract class Generator extends Objective {
  /** The number of classes that the model is conditioned on; 0 without classes. */
  abstract readonly classes: number;

  /** Checks a request, and returns how its images are drawn.
   * @throws {RangeError} as `generate`
   */
  protected abstract plan(device: Device, request: GenerateRequest): Drawing;

  /** Several processes can draw the samples together. */
  override get drawsParts(): boolean {
    return true;
  }

  /** Generates images. All random numbers come from the request's key.
   * @throws {RangeError} the settings do not fit the model, or a class does not exist
   */
  async generate(device: Device, request: GenerateRequest): Promise<Generated> {
    const { count, batchSize = BATCH, trace, onProgress, signal, replicas = SINGLE } = request;
    const drawing = this.plan(device, request), { imageShape, codeShape } = drawing;
    const images = new Float32Array(count * sizeOf(imageShape));
    const codes = codeShape && new Int32Array(count * sizeOf(codeShape));
    let told = 0;
    const tell = (done: number) => {
      if (done > told) onProgress?.(told = done, count);
    };
    for (let first = 0; first < count; first += batchSize) {
      const batch = { first, count: Math.min(batchSize, count - first) };
      const traced = first === 0 ? trace : undefined;
      const own = traced === undefined ? ownRows(batch, replicas) : onFirst(batch, replicas);
      await workTogether(device, replicas, async () => {
        if (own.count === 0) return;
        const drawn = await drawing.draw({
          ...own,
          onShare: async (share, images) => {
            tell(first + share * batch.count);
            await traced?.add(share, images);
          },
        });
        rowsOf(images, own, count).set(drawn.images);
        if (codes !== undefined) rowsOf(codes, own, count).set(drawn.codes!);
      }, signal);
      await joinParts(device, rowsOf(images, batch, count), replicas);
      if (codes !== undefined) await joinParts(device, rowsOf(codes, batch, count), replicas);
      tell(first + batch.count);
    }
    return { images, ...codes && { codes, codeShape } };
  }

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

/** This rank's rows of a batch that the first rank draws alone. */
function onFirst(batch: Rows, { rank }: Replicas): Rows {
  return rank === 0 ? batch : { ...batch, count: 0 };
}

/** The values of some of `total` rows. */
function rowsOf<A extends Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(
  values: A,
  { first, count }: Rows,
  total: number,
): A {
  const size = values.length / total;
  return values.subarray(first * size, (first + count) * size) as A;
}
