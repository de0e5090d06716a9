/** Reads a column of bytes from a Parquet file, a row group at a time. `hyparquet` reads the footer and the headers of
 * the pages; the values are read here, because a page that lies about them must not take more memory than it has. */
import type { Buffer } from "node:buffer";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  type ColumnMetaData,
  type FileMetaData,
  type PageHeader,
  parquetMetadataAsync,
  parquetSchema,
  snappyUncompress,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import type { RandomAccess } from "./random_access.ts";
import { readRuns } from "./runs.ts";

/** Most rows of a row group. */
const MOST_ROWS = 2 ** 24;
/** Most bytes that a page unpacks to. */
const MOST_PAGE_BYTES = 2 ** 28;

type Bytes = Uint8Array<ArrayBuffer>;

/** A Parquet file that is open at a column of bytes. */
export interface ParquetColumn {
  /** How many rows each row group has. */
  readonly rows: readonly number[];
  /** The values of a row group, each a copy; empty where there is none.
   * @throws {RangeError} the file is broken
   */
  read(group: number): Promise<Bytes[]>;
}

/** Opens a file at a column of bytes, or of structures with a field `bytes`.
 * @param name what messages call the file
 * @throws {RangeError} the file is broken, or has no such column
 */
export async function openParquetColumn(
  file: RandomAccess,
  column: string,
  name: string,
): Promise<ParquetColumn> {
  const attempt = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (cause) {
      throw new RangeError(
        `Cannot read ${name}: it must be a whole Parquet file with a column of images, got ${
          (cause as Error).message
        }`,
        { cause },
      );
    }
  };
  return await attempt(async () => {
    const metadata = await parquetMetadataAsync(file, { geoparquet: false });
    const path = leafPath(metadata, column);
    const levels = definitionLevels(metadata, path);
    const rows = metadata.row_groups.map(({ num_rows }) => checkedRows(num_rows));
    const read = async (group: number) => {
      const chunk = chunkAt(metadata, group, path);
      return await readChunk(file, chunk, rows[group], levels);
    };
    return { rows, read: (group) => attempt(() => read(group)) };
  });
}

function checkedRows(rows: bigint): number {
  if (rows >= 0n && rows <= BigInt(MOST_ROWS)) return Number(rows);
  throw new RangeError(`a row group of ${rows} rows, where at most ${MOST_ROWS} are read`);
}

/** The path of the leaf that holds the bytes. */
function leafPath(metadata: FileMetaData, column: string): readonly string[] {
  const { children } = parquetSchema(metadata);
  const top = children.find(({ element }) => element.name === column);
  const inside = top?.children.find(({ element }) => element.name === "bytes");
  const leaf = top?.children.length === 0 ? top : inside;
  if (leaf?.element.type === "BYTE_ARRAY" && leaf.children.length === 0) return leaf.path;
  const known = children.map(({ element }) => element.name).join(", ");
  throw new RangeError(`no bytes in a column ${column} (--data.column) among ${known}`);
}

/** How many of the elements on a leaf's path may be missing. */
function definitionLevels(metadata: FileMetaData, path: readonly string[]): number {
  let node = parquetSchema(metadata), levels = 0;
  for (const part of path) {
    node = node.children.find(({ element }) => element.name === part)!;
    if (node.element.repetition_type === "REPEATED") {
      throw new RangeError(`lists in the column ${path.join(".")}`);
    }
    if (node.element.repetition_type !== "REQUIRED") levels++;
  }
  return levels;
}

function chunkAt(metadata: FileMetaData, group: number, path: readonly string[]): ColumnMetaData {
  const chunk = metadata.row_groups[group].columns
    .find(({ meta_data }) => meta_data?.path_in_schema.join("\0") === path.join("\0"));
  if (chunk?.meta_data !== undefined) return chunk.meta_data;
  throw new RangeError(`no column ${path.join(".")} in row group ${group}`);
}

/** The values of a column in a row group. */
async function readChunk(
  file: RandomAccess,
  chunk: ColumnMetaData,
  rows: number,
  levels: number,
): Promise<Bytes[]> {
  const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
  const bytes = await file.slice(start, start + Number(chunk.total_compressed_size));
  const reader = { view: new DataView(bytes), offset: 0 };
  let dictionary: Bytes[] = [];
  const values: Bytes[] = [];
  while (values.length < rows) {
    const header = parquetHeader(reader);
    const size = header.compressed_page_size;
    if (!(size >= 0 && reader.offset + size <= bytes.byteLength)) {
      throw new RangeError(
        `a page of ${size} bytes where ${bytes.byteLength - reader.offset} are left`,
      );
    }
    const page = new Uint8Array(bytes, reader.offset, size);
    reader.offset += size;
    if (header.type === "DICTIONARY_PAGE") {
      const { num_values: count = 0 } = header.dictionary_page_header ?? {};
      dictionary = readPlain(unpack(page, header.uncompressed_page_size, chunk.codec), count);
    } else if (header.type === "DATA_PAGE" || header.type === "DATA_PAGE_V2") {
      for (
        const value of readPage(page, header, chunk.codec, levels, rows - values.length, dictionary)
      ) values.push(value);
    }
  }
  return values;
}

/** The values of a page; empty ones where a definition level says that there is none.
 * @param most how many rows are left in the group
 */
function readPage(
  page: Bytes,
  header: PageHeader,
  codec: ColumnMetaData["codec"],
  levels: number,
  most: number,
  dictionary: readonly Bytes[],
): Bytes[] {
  const { data_page_header: first, data_page_header_v2: second } = header;
  const count = (first ?? second)?.num_values ?? 0;
  if (!(count > 0 && count <= most)) {
    throw new RangeError(`a page of ${count} values for ${most} rows`);
  }
  const { defined, body } = first === undefined
    ? splitSecond(page, header, codec, levels, count)
    : splitFirst(unpack(page, header.uncompressed_page_size, codec), levels, count);
  const present = defined.reduce((sum, level) => sum + (level === levels ? 1 : 0), 0);
  const values = valuesOf(body, (first ?? second)!.encoding, present, dictionary);
  let next = 0;
  return Array.from(defined, (level) => level === levels ? values[next++] : new Uint8Array(0));
}

/** The definition levels and the values of a page in the first form: the levels after their length. */
function splitFirst(
  page: Bytes,
  levels: number,
  count: number,
): { defined: Int32Array; body: Bytes } {
  if (levels === 0) return { defined: new Int32Array(count), body: page };
  const length = wordAt(page, 0);
  const defined = readRuns(part(page, 4, length), bitsFor(levels), count);
  return { defined, body: page.subarray(4 + length) };
}

/** Those of a page in the second form: the levels are never packed, and the header has their length. */
function splitSecond(
  page: Bytes,
  { uncompressed_page_size: size, data_page_header_v2: header }: PageHeader,
  codec: ColumnMetaData["codec"],
  levels: number,
  count: number,
): { defined: Int32Array; body: Bytes } {
  const { definition_levels_byte_length: length = 0, repetition_levels_byte_length: lists = 0 } =
    header!;
  const stored = part(page, 0, length + lists);
  const defined = levels === 0
    ? new Int32Array(count)
    : readRuns(stored.subarray(lists), bitsFor(levels), count);
  const packed = page.subarray(length + lists);
  const body = header!.is_compressed === false
    ? packed
    : unpack(packed, size - length - lists, codec);
  return { defined, body };
}

function valuesOf(
  body: Bytes,
  encoding: string,
  count: number,
  dictionary: readonly Bytes[],
): Bytes[] {
  if (encoding === "PLAIN") return readPlain(body, count);
  if (encoding !== "RLE_DICTIONARY" && encoding !== "PLAIN_DICTIONARY") {
    throw new RangeError(
      `values in the encoding ${encoding}, where PLAIN and dictionaries are read`,
    );
  }
  if (count === 0) return [];
  return Array.from(readRuns(body.subarray(1), body[0], count), (index) => {
    if (index < dictionary.length) return dictionary[index];
    throw new RangeError(`value ${index} of a dictionary of ${dictionary.length}`);
  });
}

/** Values that each follow their length. */
function readPlain(bytes: Bytes, count: number): Bytes[] {
  const values: Bytes[] = [];
  for (let offset = 0; values.length < count;) {
    const length = wordAt(bytes, offset);
    values.push(part(bytes, offset + 4, length).slice());
    offset += 4 + length;
  }
  return values;
}

function unpack(page: Bytes, size: number, codec: ColumnMetaData["codec"]): Bytes {
  if (!(size >= 0 && size <= MOST_PAGE_BYTES)) {
    throw new RangeError(
      `a page that unpacks to ${size} bytes, where at most ${MOST_PAGE_BYTES} are read`,
    );
  }
  const unpacked = unpackAs(page, size, codec);
  if (unpacked.length === size) return unpacked;
  throw new RangeError(
    `a page that unpacks to ${unpacked.length} bytes where its header says ${size}`,
  );
}

function unpackAs(page: Bytes, size: number, codec: ColumnMetaData["codec"]): Bytes {
  const limit = { maxOutputLength: Math.max(1, size) };
  const owned = (buffer: Buffer) => new Uint8Array(buffer);
  switch (codec) {
    case "UNCOMPRESSED":
      return page;
    case "SNAPPY": {
      const output = new Uint8Array(size);
      snappyUncompress(page, output);
      return output;
    }
    case "GZIP":
      return owned(gunzipSync(page, limit));
    case "ZSTD":
      return owned(zstdDecompressSync(page, limit));
    default:
      throw new RangeError(
        `pages packed with ${codec}, where SNAPPY, GZIP and ZSTD are read`,
      );
  }
}

const bitsFor = (most: number): number => 32 - Math.clz32(most);

function wordAt(bytes: Bytes, offset: number): number {
  const word = part(bytes, offset, 4);
  return new DataView(word.buffer, word.byteOffset, 4).getUint32(0, true);
}

function part(bytes: Bytes, offset: number, length: number): Bytes {
  if (length >= 0 && offset + length <= bytes.length) {
    return bytes.subarray(offset, offset + length);
  }
  throw new RangeError(`${length} bytes at ${offset} of a page of ${bytes.length}`);
}
