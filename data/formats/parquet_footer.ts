/** Reads the footer of a Parquet file, as far as needed for one column of bytes or integers. Source:
 * github.com/apache/parquet-format, parquet.thrift. */
import type { RandomAccess } from "./random_access.ts";
import { ThriftReader } from "./thrift.ts";

/** The maximum number of rows in a row group. */
const MOST_ROWS = 2 ** 20;
/** The maximum number of rows in a file: a constant, plus eight per byte of the file. */
const FREE_ROWS = 2 ** 16, ROWS_A_BYTE = 8;
/** The maximum number of row groups: the format numbers them with 16 bits. */
const MOST_GROUPS = 2 ** 15;
/** How many columns an error message lists. */
const NAMED = 20;
/** The physical types that are read. */
const INT32 = 1, INT64 = 2, BYTE_ARRAY = 6;

/** The kind of a column's values. */
export type ColumnKind = "bytes" | "integers";
const HUB = new TextEncoder().encode("huggingface");
const REQUIRED = 0, REPEATED = 2;

/** The compression codecs of pages, by the format's numbers. */
const CODECS = ["UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"];

/** The position of the column in a row group. */
export interface ColumnChunk {
  /** The number of rows in the group. */
  readonly rows: number;
  /** The offset of its first byte. */
  readonly start: number;
  /** Its length in bytes. */
  readonly size: number;
  /** The compression codec of its pages. */
  readonly codec: string;
}

/** The contents of a footer for one column. */
export interface ParquetFooter {
  /** The column in each row group. */
  readonly chunks: readonly ColumnChunk[];
  /** The number of optional elements on the path to the bytes. */
  readonly levels: number;
  /** The number of bytes of an integer; undefined for bytes. */
  readonly width: number | undefined;
  /** The JSON that the Hugging Face hub's libraries store about the columns. */
  readonly hub: string | undefined;
}

/** Reads the footer of a file for a column of bytes, or of structures with a field `bytes`, or for a column of integers.
 * @throws {RangeError} the footer is broken, claims more than the file can hold, or has no such column
 */
export async function readFooter(
  file: RandomAccess,
  column: string,
  kind: ColumnKind,
): Promise<ParquetFooter> {
  const { byteLength } = file;
  if (byteLength < 12) throw new RangeError(`${byteLength} bytes`);
  const end = new DataView(await file.slice(byteLength - 8, byteLength));
  const mark = new TextDecoder("latin1").decode(new Uint8Array(end.buffer, 4));
  if (mark !== "PAR1") throw new RangeError(`a file that ends in ${JSON.stringify(mark)}`);
  const size = end.getUint32(0, true), start = byteLength - 8 - size;
  if (start < 4) throw new RangeError(`a footer of ${size} bytes in ${byteLength}`);
  const reader = new ThriftReader(new Uint8Array(await file.slice(start, byteLength - 8)));
  let hub: string | undefined;
  let schema = -1, groups = -1;
  const remember = (list: (at: number) => void) => () => {
    list(reader.offset);
    reader.skipList();
  };
  reader.struct({
    2: ["list", remember((at) => schema = at)],
    4: ["list", remember((at) => groups = at)],
    5: ["list", () => reader.list("struct", () => hub ??= readHub(reader))],
  });
  if (schema < 0 || groups < 0) throw new RangeError("a footer without a schema and row groups");
  reader.offset = schema;
  const { path, levels, width } = readSchema(reader, column, kind);
  reader.offset = groups;
  const chunks = checkedChunks(readGroups(reader, path), byteLength);
  return { chunks, levels, width, hub };
}

/** The value of an entry of the file's metadata, if its key is the hub's. */
function readHub(reader: ThriftReader): string | undefined {
  let isHub = false, value: Uint8Array | undefined;
  reader.struct({
    1: ["bytes", () => isHub = sameBytes(reader.take(), HUB)],
    2: ["bytes", () => value = reader.take()],
  });
  return isHub && value !== undefined ? new TextDecoder().decode(value) : undefined;
}

/** An element of the schema. */
interface Element {
  name: string;
  type: number;
  repetition: number;
  children: number;
}

/** Finds the column in the schema, which lists its elements depth first. */
function readSchema(
  reader: ThriftReader,
  column: string,
  kind: ColumnKind,
): { path: readonly string[]; levels: number; width: number | undefined } {
  const known: string[] = [];
  const left: number[] = []; // The number of remaining children of each element on the path.
  let top: Element | undefined, leaf: Element | undefined;
  reader.list("struct", () => {
    const element = readElement(reader);
    const depth = left.length;
    if (depth === 1) {
      if (known.length < NAMED) known.push(element.name.slice(0, 80));
      if (top === undefined && element.name === column) {
        top = element;
        if (element.children === 0) leaf = element;
      } else if (top !== undefined) leaf ??= { ...element, type: -1 }; // Past its children.
    } else if (depth === 2 && top !== undefined && element.name === "bytes") leaf ??= element;
    if (depth > 0) left[depth - 1]--;
    if (element.children > 0) left.push(element.children);
    while (left.at(-1) === 0) left.pop();
  });
  const types = kind === "bytes" ? [BYTE_ARRAY] : [INT32, INT64];
  if (
    top === undefined || leaf === undefined || !types.includes(leaf.type) || leaf.children !== 0
  ) {
    const flag = kind === "bytes" ? "--data.column" : "--data.label";
    throw new RangeError(`no ${kind} in a column ${column} (${flag}) among ${known.join(", ")}`);
  }
  const elements = top === leaf ? [top] : [top, leaf];
  if (elements.some(({ repetition }) => repetition === REPEATED)) {
    throw new RangeError(`lists in the column ${column}`);
  }
  return {
    path: elements.map(({ name }) => name),
    levels: elements.filter(({ repetition }) => repetition !== REQUIRED).length,
    width: { [INT32]: 4, [INT64]: 8 }[leaf.type],
  };
}

function readElement(reader: ThriftReader): Element {
  const element: Element = { name: "", type: -1, repetition: REQUIRED, children: 0 };
  reader.struct({
    1: ["integer", () => element.type = reader.integer()],
    3: ["integer", () => element.repetition = reader.integer()],
    4: ["bytes", () => element.name = new TextDecoder().decode(reader.take())],
    5: ["integer", () => element.children = reader.integer()],
  });
  return element;
}

function readGroups(reader: ThriftReader, path: readonly string[]): readonly ColumnChunk[] {
  const wanted = path.map((part) => new TextEncoder().encode(part));
  const chunks: ColumnChunk[] = [];
  reader.list("struct", () => {
    if (chunks.length === MOST_GROUPS) throw new RangeError(`more than ${MOST_GROUPS} row groups`);
    let rows = 0, found: Omit<ColumnChunk, "rows"> | undefined;
    const keep = (chunk: typeof found) => found ??= chunk;
    const readColumn = () => {
      reader.struct({ 3: ["struct", () => keep(readChunk(reader, wanted))] });
    };
    reader.struct({
      1: ["list", () => reader.list("struct", readColumn)],
      3: ["integer", () => rows = reader.integer()],
    });
    if (found === undefined) {
      throw new RangeError(`no column ${path.join(".")} in row group ${chunks.length}`);
    }
    chunks.push({ rows, ...found });
  });
  return chunks;
}

/** Reads a row group's entry for a column; undefined if it is not the requested column. */
function readChunk(
  reader: ThriftReader,
  wanted: readonly Uint8Array[],
): Omit<ColumnChunk, "rows"> | undefined {
  let parts = 0, same = true, codec = 0, size = -1, pages = 0, dictionary = 0;
  reader.struct({
    3: [
      "list",
      () => reader.list("bytes", () => same = sameBytes(reader.take(), wanted[parts++]) && same),
    ],
    4: ["integer", () => codec = reader.integer()],
    7: ["integer", () => size = reader.integer()],
    9: ["integer", () => pages = reader.integer()],
    11: ["integer", () => dictionary = reader.integer()],
  });
  if (!same || parts !== wanted.length) return undefined;
  return { start: dictionary || pages, size, codec: CODECS[codec] ?? `codec ${codec}` };
}

function sameBytes(some: Uint8Array, others: Uint8Array | undefined): boolean {
  return some.length === others?.length && some.every((byte, at) => byte === others[at]);
}

/** Rejects chunks that claim too many rows, lie outside the file or overlap, so that the size of the file limits how
 * much is read. */
function checkedChunks(
  chunks: readonly ColumnChunk[],
  byteLength: number,
): readonly ColumnChunk[] {
  let rows = 0;
  for (const chunk of chunks) {
    if (!(chunk.rows >= 0 && chunk.rows <= MOST_ROWS)) {
      throw new RangeError(
        `a row group of ${chunk.rows} rows, where at most ${MOST_ROWS} are read`,
      );
    }
    if (!(chunk.size >= 0 && chunk.start >= 4 && chunk.start + chunk.size <= byteLength)) {
      throw new RangeError(`${chunk.size} bytes at ${chunk.start} in ${byteLength}`);
    }
    rows += chunk.rows;
  }
  const most = FREE_ROWS + ROWS_A_BYTE * byteLength;
  if (rows > most) {
    throw new RangeError(`${rows} rows, where ${byteLength} bytes may hold at most ${most}`);
  }
  let end = 0;
  for (const { start, size } of chunks.toSorted((a, b) => a.start - b.start)) {
    if (size > 0 && start < end) {
      throw new RangeError(`row groups that overlap at ${start}`);
    }
    end = Math.max(end, start + size);
  }
  return chunks;
}
