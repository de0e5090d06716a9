/** Finds the values of an LMDB file (Lightning Memory-Mapped Database, data version 1 on 64-bit little-endian machines,
 * the format of LSUN's files; source: `lmdb.h` and `mdb.c` of OpenLDAP). Only the pages of the B+ tree are read, not
 * the values. */
import type { RandomAccess } from "./random_access.ts";

/** The position of a value in the file. */
export interface LmdbValue {
  /** The offset of its first byte. */
  readonly offset: number;
  /** Its length. */
  readonly length: number;
}

const PAGE_HEADER = 16;
const NODE_HEADER = 8;
const MAGIC = 0xbeefc0de;
/** Flags of pages. */
const BRANCH = 1, LEAF = 2, OVERFLOW = 4;
/** Flags of nodes: the value has its own pages; the value is a database or a set of duplicates. */
const BIG = 1, NESTED = 6;
/** The maximum depth of a tree. */
const MOST_DEPTH = 32;
const NO_PAGE = 0xffffffffffffffffn;

/** A meta page: a state of the database. A file has two, written alternately. */
interface Meta {
  readonly pageSize: number;
  readonly root: bigint;
  readonly transaction: bigint;
}

/** The values of a file in the order of their keys.
 * @param name the name of the file in error messages
 * @throws {RangeError} the file is not an LMDB file of version 1, or is broken
 */
export async function* lmdbValues(file: RandomAccess, name: string): AsyncGenerator<LmdbValue> {
  const refuse = (requirement: string, actual: string) =>
    new RangeError(`Cannot read ${name}: ${requirement}, got ${actual}`);
  const first = await readMeta(file, 0, refuse);
  const second = await readMeta(file, first.pageSize, refuse);
  const { pageSize, root } = second.transaction > first.transaction ? second : first;
  const pages = Math.floor(file.byteLength / pageSize);
  let left = pages; // A tree with a cycle has more pages than the file.
  const take = (count: number) => {
    left -= count;
    if (left < 0) throw refuse("no page may be in the tree twice", "a cycle");
  };
  const readPage = async (number: bigint) => {
    if (number >= BigInt(pages)) throw refuse(`pages must be among its ${pages}`, `${number}`);
    take(1);
    const start = Number(number) * pageSize;
    return { start, view: new DataView(await file.slice(start, start + pageSize)) };
  };
  async function* walk(number: bigint, depth: number): AsyncGenerator<LmdbValue> {
    if (depth > MOST_DEPTH) throw refuse(`the tree must be at most ${MOST_DEPTH} deep`, "more");
    const { start, view } = await readPage(number);
    const flags = view.getUint16(10, true);
    if ((flags & (BRANCH | LEAF)) === 0) {
      throw refuse("a page of the tree must be a branch or a leaf", `${flags}`);
    }
    const nodes = (view.getUint16(12, true) - PAGE_HEADER) / 2;
    if (!Number.isInteger(nodes) || nodes < 0 || nodes > (pageSize - PAGE_HEADER) / 2) {
      throw refuse("a page must have room for its nodes", `${nodes}`);
    }
    let room = pageSize - PAGE_HEADER; // Overlapping nodes take more room than the page has.
    const occupy = (bytes: number) => {
      room -= bytes;
      if (room < 0) throw refuse("the nodes of a page must not overlap", `${nodes}`);
    };
    for (let node = 0; node < nodes; node++) {
      const at = view.getUint16(PAGE_HEADER + 2 * node, true);
      if (at + NODE_HEADER > pageSize) throw refuse("a node must lie on its page", `${at}`);
      const low = view.getUint16(at, true) + view.getUint16(at + 2, true) * 2 ** 16;
      const kind = view.getUint16(at + 4, true), keyBytes = view.getUint16(at + 6, true);
      occupy(2 + NODE_HEADER + keyBytes);
      if ((flags & BRANCH) !== 0) {
        yield* walk(BigInt(low) + BigInt(kind) * 2n ** 32n, depth + 1);
        continue;
      }
      const value = at + NODE_HEADER + keyBytes;
      if ((kind & NESTED) !== 0) throw refuse("it must hold plain values", "a database inside");
      if ((kind & BIG) === 0) {
        if (value + low > pageSize) throw refuse("a value must lie on its page", `${low} bytes`);
        occupy(low);
        yield { offset: start + value, length: low };
      } else {
        if (value + 8 > pageSize) throw refuse("a node must lie on its page", `${at}`);
        occupy(8);
        yield await bigValue(view.getBigUint64(value, true), low);
      }
    }
  }
  /** A value with its own pages: it follows the header of the first page. */
  async function bigValue(number: bigint, length: number): Promise<LmdbValue> {
    const { start, view } = await readPage(number);
    const whole = PAGE_HEADER + length <= view.getUint32(12, true) * pageSize;
    if ((view.getUint16(10, true) & OVERFLOW) === 0 || !whole) {
      throw refuse("the pages of a value must have room for it", `${length} bytes`);
    }
    if (start + PAGE_HEADER + length > file.byteLength) {
      throw refuse("it must not be cut short", `${file.byteLength} bytes`);
    }
    take(Math.ceil((PAGE_HEADER + length) / pageSize) - 1);
    return { offset: start + PAGE_HEADER, length };
  }
  if (root !== NO_PAGE) yield* walk(root, 1);
}

async function readMeta(
  file: RandomAccess,
  start: number,
  refuse: (requirement: string, actual: string) => RangeError,
): Promise<Meta> {
  const end = start + 152;
  if (end > file.byteLength) throw refuse("it must be an LMDB file", `${file.byteLength} bytes`);
  const view = new DataView(await file.slice(start, end));
  const [magic, version] = [view.getUint32(16, true), view.getUint32(20, true)];
  if (magic !== MAGIC) {
    throw refuse("it must be an LMDB file", `0x${magic.toString(16)} for its mark`);
  }
  if (version !== 1) throw refuse("it must be of LMDB's data version 1", `${version}`);
  const pageSize = view.getUint32(40, true);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) {
    throw refuse("its pages must have 512 to 65536 bytes, a power of two", `${pageSize}`);
  }
  return {
    pageSize,
    root: view.getBigUint64(128, true),
    transaction: view.getBigUint64(144, true),
  };
}
