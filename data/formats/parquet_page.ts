/** The pages of a Parquet column of bytes or integers. Their headers are not trusted: the existing bytes and the caller
 * limit all allocations. Source: github.com/apache/parquet-format, parquet.thrift and Encodings. */
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { readRuns } from "./runs.ts";
import { unpackSnappy } from "./snappy.ts";
import type { ThriftField, ThriftReader } from "./thrift.ts";

/** The maximum unpacked size of a page: a constant, plus a number of bytes per packed byte. */
const FREE_BYTES = 2 ** 23, EXPANSION = 3;

const PLAIN = 0, PLAIN_DICTIONARY = 2, RLE_DICTIONARY = 8;

type Bytes = Uint8Array<ArrayBuffer>;

/** The header of a page. */
export interface PageHeader {
  /** The kind of page. */
  readonly type: "data" | "dictionary" | "other";
  /** The number of bytes after the header. */
  readonly size: number;
  /** The unpacked size in bytes. */
  readonly unpackedSize: number;
  /** The number of values. */
  readonly count: number;
  /** The encoding of the values. */
  readonly encoding: number;
  /** Fields that only version 2 of data pages has. */
  readonly second?: {
    /** The length of the definition levels. */
    readonly definitions: number;
    /** The length of the repetition levels. */
    readonly repetitions: number;
    /** Whether the values are compressed. */
    readonly packed: boolean;
  };
}

const TYPES: Readonly<Record<number, PageHeader["type"]>> = {
  0: "data",
  2: "dictionary",
  3: "data",
};

/** Reads the page header at the reader's position. */
export function readPageHeader(reader: ThriftReader): PageHeader {
  let type = -1, size = -1, unpackedSize = -1, count = 0, encoding = -1;
  let definitions = 0, repetitions = 0, packed = true;
  const integer = (keep: (value: number) => void): ThriftField => [
    "integer",
    () => keep(reader.integer()),
  ];
  const values = integer((value) => count = value);
  const form = integer((value) => encoding = value);
  reader.struct({
    1: integer((value) => type = value),
    2: integer((value) => unpackedSize = value),
    3: integer((value) => size = value),
    5: ["struct", () => reader.struct({ 1: values, 2: form })],
    7: ["struct", () => reader.struct({ 1: values, 2: form })],
    8: ["struct", () =>
      reader.struct({
        1: values,
        4: form,
        5: integer((value) => definitions = value),
        6: integer((value) => repetitions = value),
        7: ["boolean", () => packed = reader.boolean()],
      })],
  });
  const second = type === 3 ? { definitions, repetitions, packed } : undefined;
  return { type: TYPES[type] ?? "other", size, unpackedSize, count, encoding, second };
}

/** The values of a page: each is preceded by its length, or all have the same width. */
export class PlainValues {
  readonly #page: Bytes;
  readonly #width: number | undefined;
  #offset = 0;

  /** Starts at the first value.
   * @param width the number of bytes per value, if it is the same for all
   */
  constructor(page: Bytes, width?: number) {
    this.#page = page;
    this.#width = width;
  }

  /** The next value; a view. */
  next(): Bytes {
    if (this.#width !== undefined) {
      const value = part(this.#page, this.#offset, this.#width);
      this.#offset += this.#width;
      return value;
    }
    const length = wordAt(this.#page, this.#offset);
    const value = part(this.#page, this.#offset + 4, length);
    this.#offset += 4 + length;
    return value;
  }
}

/** The values of a dictionary page. */
export class PageDictionary {
  readonly #page: Bytes;
  readonly #ends: Uint32Array;
  readonly #prefix: number;

  /** Finds the values. Rejects a dictionary that claims more than its bytes can hold.
   * @param width as in `PlainValues`
   */
  constructor(page: Bytes, count: number, width?: number) {
    this.#prefix = width === undefined ? 4 : 0;
    if (!(count >= 0 && 4 * count <= page.length)) {
      throw new RangeError(`a dictionary of ${count} values in ${page.length} bytes`);
    }
    this.#page = page;
    this.#ends = new Uint32Array(count);
    let end = 0;
    for (let index = 0; index < count; index++) {
      end += width === undefined
        ? 4 + part(page, end + 4, wordAt(page, end)).length
        : part(page, end, width).length;
      this.#ends[index] = end;
    }
  }

  /** A value; a view. */
  at(index: number): Bytes {
    if (index >= 0 && index < this.#ends.length) {
      const start = index === 0 ? 0 : this.#ends[index - 1];
      return this.#page.subarray(start + this.#prefix, this.#ends[index]);
    }
    throw new RangeError(`value ${index} of a dictionary of ${this.#ends.length}`);
  }
}

/** Yields the values of a data page in order, as views; undefined if a definition level says that there is no value.
 * @param levels the number of optional elements on the path to the value
 * @param width as in `PlainValues`
 * @param unpack unpacks the page
 */
export function* pageValues(
  page: Bytes,
  { count, encoding, unpackedSize, second }: PageHeader,
  { levels, width }: { readonly levels: number; readonly width: number | undefined },
  dictionary: PageDictionary | undefined,
  unpack: (page: Bytes, size: number) => Bytes,
): Generator<Bytes | undefined> {
  let defined: Int32Array | undefined, body: Bytes;
  if (second === undefined) {
    const whole = unpack(page, unpackedSize);
    const length = levels === 0 ? -4 : wordAt(whole, 0);
    if (levels > 0) defined = readRuns(part(whole, 4, length), bitsFor(levels), count);
    body = whole.subarray(4 + length);
  } else {
    const { definitions, repetitions, packed } = second;
    const stored = part(page, repetitions, definitions);
    if (levels > 0) defined = readRuns(stored, bitsFor(levels), count);
    const values = page.subarray(repetitions + definitions);
    body = packed ? unpack(values, unpackedSize - repetitions - definitions) : values;
  }
  const present = defined === undefined
    ? count
    : defined.reduce((sum, level) => sum + (level === levels ? 1 : 0), 0);
  const next = reading(body, encoding, present, { dictionary, width });
  for (let value = 0; value < count; value++) {
    yield defined === undefined || defined[value] === levels ? next() : undefined;
  }
}

/** Returns a function that reads the values of a page one by one. */
function reading(
  body: Bytes,
  encoding: number,
  count: number,
  { dictionary, width }: {
    readonly dictionary: PageDictionary | undefined;
    readonly width: number | undefined;
  },
): () => Bytes {
  if (encoding === PLAIN) {
    const values = new PlainValues(body, width);
    return () => values.next();
  }
  if (encoding !== RLE_DICTIONARY && encoding !== PLAIN_DICTIONARY) {
    throw new RangeError(
      `values in the encoding ${encoding}, where plain ones and dictionaries are read`,
    );
  }
  const indices = count === 0 ? [] : readRuns(body.subarray(1), body[0], count);
  let at = 0;
  return () => {
    const index = indices[at++];
    if (dictionary !== undefined) return dictionary.at(index);
    throw new RangeError(`value ${index} of no dictionary`);
  };
}

/** Unpacks a page.
 * @throws {RangeError} it unpacks to another number of bytes, to too many for its size, or uses another codec
 */
export function unpackPage(page: Bytes, size: number, codec: string): Bytes {
  const most = FREE_BYTES + EXPANSION * page.length;
  if (!(size >= 0 && size <= most)) {
    throw new RangeError(
      `a page of ${page.length} bytes that unpacks to ${size}, where at most ${most} are read`,
    );
  }
  const unpacked = unpackAs(page, size, codec);
  if (unpacked.length === size) return unpacked;
  throw new RangeError(
    `a page that unpacks to ${unpacked.length} bytes where its header says ${size}`,
  );
}

function unpackAs(page: Bytes, size: number, codec: string): Bytes {
  const limit = { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size) };
  switch (codec) {
    case "UNCOMPRESSED":
      return page;
    case "SNAPPY":
      return unpackSnappy(page, size);
    case "GZIP":
      return new Uint8Array(gunzipSync(page, limit));
    case "ZSTD":
      return new Uint8Array(zstdDecompressSync(page, limit));
    default:
      throw new RangeError(`pages packed with ${codec}, where SNAPPY, GZIP and ZSTD are read`);
  }
}

const bitsFor = (most: number): number => 32 - Math.clz32(most);

function wordAt(bytes: Bytes, offset: number): number {
  part(bytes, offset, 4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
}

function part(bytes: Bytes, offset: number, length: number): Bytes {
  if (offset >= 0 && length >= 0 && offset + length <= bytes.length) {
    return bytes.subarray(offset, offset + length);
  }
  throw new RangeError(`${length} bytes at ${offset} of a page of ${bytes.length}`);
}
