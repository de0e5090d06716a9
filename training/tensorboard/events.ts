/** TensorBoard's event files: scalars, images and histograms by step.
 *
 * Source: tensorflow/core/util/event.proto and tensorboard/compat/proto/summary.proto.
 */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAtomically } from "../../files/atomic_write.ts";
import { MessageWriter, readMessage } from "./protobuf.ts";
import { decodeRecords, encodeRecord } from "./records.ts";

/** Field numbers of `Event`, `Summary`, `Summary.Value`, its metadata and tensor, `Summary.Image` and `HistogramProto`. */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const SUMMARY = { value: 1 } as const;
const VALUE = { tag: 1, simpleValue: 2, image: 4, histogram: 5, tensor: 8, metadata: 9 } as const;
const METADATA = { plugin: 1, pluginName: 1 } as const;
const TENSOR = { type: 1, shape: 2, strings: 8 } as const;
/** `DataType.DT_STRING`. */
const STRING = 7;
const IMAGE = { height: 1, width: 2, colourSpace: 3, encoded: 4 } as const;
const HISTOGRAM = {
  ...{ min: 1, max: 2, number: 3, sum: 4, sumOfSquares: 5 },
  ...{ bucketLimits: 6, buckets: 7 },
} as const;

/** Position of the width, height, bit depth and colour type in a PNG (PNG specification, 11.2.2). */
const PNG_SIDES = 16;

/** Appends to one event file. If the process is killed, the last record may be incomplete; `begin` removes it. */
export class EventFile {
  readonly #path: string;
  readonly #now: () => number;

  /** Refers to a file; nothing is written yet.
   * @param now the time in milliseconds
   */
  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
  }

  /** Prepares the file for a run that continues after `step`: keeps the events up to that step, drops later and
   * incomplete ones, and creates the file if it does not exist.
   * @throws {Error} the file cannot be written
   */
  async begin(step: number): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true });
    const bytes = await readFile(this.#path).catch(() => new Uint8Array());
    const kept = [...decodeRecords(bytes)].filter((record) => stepOf(record) <= step);
    const records = kept.length > 0
      ? kept
      : [this.#event(0).bytes(EVENT.fileVersion, "brain.Event:2").encoded()];
    const framed = records.map(encodeRecord);
    const contents = new Uint8Array(framed.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const record of framed) {
      contents.set(record, at);
      at += record.length;
    }
    await writeAtomically(this.#path, contents);
  }

  /** Appends scalars by tag. */
  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    const summary = new MessageWriter();
    for (const [tag, value] of Object.entries(values)) {
      summary.bytes(
        SUMMARY.value,
        new MessageWriter().bytes(VALUE.tag, tag).float(VALUE.simpleValue, value),
      );
    }
    await this.#append(step, summary);
  }

  /** Appends a text, which TensorBoard shows as Markdown. */
  async text(step: number, tag: string, markdown: string): Promise<void> {
    const plugin = new MessageWriter().bytes(METADATA.pluginName, "text");
    const tensor = new MessageWriter()
      .integer(TENSOR.type, STRING)
      .bytes(TENSOR.shape, new MessageWriter())
      .bytes(TENSOR.strings, markdown);
    const value = new MessageWriter()
      .bytes(VALUE.tag, tag)
      .bytes(VALUE.tensor, tensor)
      .bytes(VALUE.metadata, new MessageWriter().bytes(METADATA.plugin, plugin));
    await this.#append(step, new MessageWriter().bytes(SUMMARY.value, value));
  }

  /** Appends a picture.
   * @param png the bytes of a PNG, grey or RGB
   */
  async image(step: number, tag: string, png: Uint8Array): Promise<void> {
    const header = new DataView(png.buffer, png.byteOffset + PNG_SIDES);
    const isGrey = header.getUint8(9) === 0;
    const message = new MessageWriter()
      .integer(IMAGE.height, header.getUint32(4))
      .integer(IMAGE.width, header.getUint32(0))
      .integer(IMAGE.colourSpace, isGrey ? 1 : 3)
      .bytes(IMAGE.encoded, png);
    await this.#appendValue(step, tag, VALUE.image, message);
  }

  /** Appends how often each integer from 0 on occurs: integer k is the bucket (k − 1, k]. */
  async histogram(step: number, tag: string, counts: ArrayLike<number>): Promise<void> {
    const buckets = Float64Array.from(counts);
    const moment = (power: number) =>
      buckets.reduce((sum, count, k) => sum + count * k ** power, 0);
    const message = new MessageWriter()
      .double(HISTOGRAM.min, 0)
      .double(HISTOGRAM.max, buckets.length - 1)
      .double(HISTOGRAM.number, moment(0))
      .double(HISTOGRAM.sum, moment(1))
      .double(HISTOGRAM.sumOfSquares, moment(2))
      .doubles(HISTOGRAM.bucketLimits, buckets.map((_, k) => k))
      .doubles(HISTOGRAM.buckets, buckets);
    await this.#appendValue(step, tag, VALUE.histogram, message);
  }

  async #appendValue(
    step: number,
    tag: string,
    field: number,
    message: MessageWriter,
  ): Promise<void> {
    const value = new MessageWriter().bytes(VALUE.tag, tag).bytes(field, message);
    await this.#append(step, new MessageWriter().bytes(SUMMARY.value, value));
  }

  async #append(step: number, summary: MessageWriter): Promise<void> {
    const event = this.#event(step).bytes(EVENT.summary, summary);
    await appendFile(this.#path, encodeRecord(event.encoded())).catch((cause: Error) => {
      throw new Error(
        `Cannot write ${this.#path}: the folder must exist and be writable, got ${cause.message}`,
        { cause },
      );
    });
  }

  #event(step: number): MessageWriter {
    return new MessageWriter()
      .double(EVENT.wallTime, this.#now() / 1000)
      .integer(EVENT.step, step);
  }
}

function stepOf(record: Uint8Array): number {
  const step = readMessage(record).get(EVENT.step) ?? 0;
  return typeof step === "number" ? step : 0;
}

/** The numbers of a record and of the records inside it, by path.
 *
 * ```ts
 * import { scalarsOf } from "./events.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(scalarsOf({ loss: 1, test: { mse: 2, protocol: "x" } }), { loss: 1, "test/mse": 2 });
 * ```
 */
export function scalarsOf(record: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]): [string, number][] => {
      if (typeof value === "number") return [[name, value]];
      if (typeof value !== "object" || value === null) return [];
      const inside = scalarsOf(value as Readonly<Record<string, unknown>>);
      return Object.entries(inside).map(([path, one]) => [`${name}/${path}`, one]);
    }),
  );
}
