/** Reads a column of bytes from a Parquet file, a row group at a time. A file takes memory and time in proportion to
 * its bytes, whatever it claims. */
import { type ColumnChunk, readFooter } from "./parquet_footer.ts";
import { PageDictionary, pageValues, readPageHeader, unpackPage } from "./parquet_page.ts";
import type { RandomAccess } from "./random_access.ts";
import { ThriftReader } from "./thrift.ts";

/** What is unpacked of a file, and given from it, may be so many bytes, and so many for each that its chunks have:
 * values may be repeated by a dictionary. */
const FREE_BYTES = 2 ** 25, EXPANSION = 64;
/** The value of every row that has none. */
const NONE = new Uint8Array(0);

type Bytes = Uint8Array<ArrayBuffer>;

/** A Parquet file that is open at a column of bytes. */
export interface ParquetColumn {
  /** How many rows each row group has. */
  readonly rows: readonly number[];
  /** The values of a row group, each a copy; empty where there is none. The group is held in memory as it lies in the
   * file, and one page of it as it is unpacked.
   * @throws {RangeError} the file is broken
   */
  read(group: number): AsyncGenerator<Bytes>;
}

/** Opens a file at a column of bytes, or of structures with a field `bytes`.
 * @param name what messages call the file
 * @throws {RangeError} the file is broken, claims more than its bytes can hold, or has no such column
 */
export async function openParquetColumn(
  file: RandomAccess,
  column: string,
  name: string,
): Promise<ParquetColumn> {
  const refuse = (cause: unknown): never => {
    throw new RangeError(
      `Cannot read ${name}: it must be a whole Parquet file with a column of images, got ${
        (cause as Error).message
      }`,
      { cause },
    );
  };
  const { chunks, levels } = await readFooter(file, column).catch(refuse);
  return {
    rows: chunks.map(({ rows }) => rows),
    async *read(group) {
      const chunk = chunks[group];
      const most = FREE_BYTES / chunks.length + EXPANSION * chunk.size;
      const { start, size } = chunk;
      const bytes = new Uint8Array(await file.slice(start, start + size).catch(refuse));
      try {
        yield* chunkValues(bytes, chunk, levels, most);
      } catch (cause) {
        refuse(cause);
      }
    },
  };
}

/** The values of a column in a row group.
 * @param most bytes that may be unpacked and given
 */
function* chunkValues(
  bytes: Bytes,
  { rows, codec }: ColumnChunk,
  levels: number,
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
      dictionary = new PageDictionary(unpack(page, header.unpackedSize), count);
    } else if (type === "data") {
      if (!(count > 0 && count <= rows - done)) {
        throw new RangeError(`a page of ${count} values for ${rows - done} rows`);
      }
      for (const value of pageValues(page, header, levels, dictionary, unpack)) {
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
