/** Reads a column of bytes or integers from a Parquet file, one row group at a time. Memory and time are proportional to the size
 * of the file, whatever its headers claim. */
import {
  type ColumnChunk,
  type ColumnKind,
  type ParquetFooter,
  readFooter,
} from "./parquet_footer.ts";
import { PageDictionary, pageValues, readPageHeader, unpackPage } from "./parquet_page.ts";
import type { RandomAccess } from "./random_access.ts";
import { ThriftReader } from "./thrift.ts";

/** The limit on unpacked and returned bytes: a constant, plus a number per byte of the chunks, since dictionaries can
 * repeat values. */
const FREE_BYTES = 2 ** 25, EXPANSION = 64;
/** The value of rows without a value. */
const NONE = new Uint8Array(0);

type Bytes = Uint8Array<ArrayBuffer>;

/** A column in an open Parquet file. */
export interface ParquetColumn {
  /** The number of rows of each row group. */
  readonly rows: readonly number[];
  /** The JSON that the Hugging Face hub's libraries store about the columns. */
  readonly hub: string | undefined;
  /** Yields copies of the values of a row group, integers as their 4 or 8 bytes; empty for rows without a value. Memory holds the packed group and one
   * unpacked page.
   * @throws {RangeError} the file is broken
   */
  read(group: number): AsyncGenerator<Bytes>;
}

/** Opens a column of bytes, or of structures with a field `bytes`, or of integers, in a file.
 * @param name the name of the file in error messages
 * @throws {RangeError} the file is broken, claims more than its bytes can hold, or has no such column
 */
export async function openParquetColumn(
  file: RandomAccess,
  column: string,
  name: string,
  kind: ColumnKind = "bytes",
): Promise<ParquetColumn> {
  const refuse = (cause: unknown): never => {
    throw new RangeError(
      `Cannot read ${name}: it must be a whole Parquet file with a column of ${
        kind === "bytes" ? "images" : "classes"
      }, got ${(cause as Error).message}`,
      { cause },
    );
  };
  const footer = await readFooter(file, column, kind).catch(refuse);
  const { chunks, hub } = footer;
  return {
    rows: chunks.map(({ rows }) => rows),
    hub,
    async *read(group) {
      const chunk = chunks[group];
      const most = FREE_BYTES / chunks.length + EXPANSION * chunk.size;
      const { start, size } = chunk;
      const bytes = new Uint8Array(await file.slice(start, start + size).catch(refuse));
      try {
        yield* chunkValues(bytes, chunk, footer, most);
      } catch (cause) {
        refuse(cause);
      }
    },
  };
}

/** The values of a column in a row group.
 * @param most the maximum number of bytes to unpack and return
 */
function* chunkValues(
  bytes: Bytes,
  { rows, codec }: ColumnChunk,
  footer: ParquetFooter,
  most: number,
): Generator<Bytes> {
  const reader = new ThriftReader(bytes);
  const spend = (size: number) => {
    most -= size;
    if (most < 0) throw new RangeError(`more in its pages than ${bytes.length} bytes may hold`);
  };
  const unpack = (page: Bytes, size: number) => {
    spend(size);
    return unpackPage(page, size, codec);
  };
  let dictionary: PageDictionary | undefined;
  for (let done = 0; done < rows;) {
    const header = readPageHeader(reader);
    const { type, size, count } = header, left = bytes.length - reader.offset;
    if (!(size >= 0 && size <= left)) {
      throw new RangeError(`a page of ${size} bytes where ${left} are left`);
    }
    const page = bytes.subarray(reader.offset, reader.offset + size);
    reader.offset += size;
    if (type === "dictionary") {
      if (dictionary !== undefined) throw new RangeError("two dictionaries in a row group");
      dictionary = new PageDictionary(unpack(page, header.unpackedSize), count, footer.width);
    } else if (type === "data") {
      if (!(count > 0 && count <= rows - done)) {
        throw new RangeError(`a page of ${count} values for ${rows - done} rows`);
      }
      for (const value of pageValues(page, header, footer, dictionary, unpack)) {
        if (value === undefined || value.length === 0) yield NONE;
        else {
          spend(value.length);
          yield value.slice();
        }
      }
      done += count;
    }
  }
}
