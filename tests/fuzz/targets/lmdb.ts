/** LMDB: trees of pages whose nodes, children and values lie. */
import { lmdbValues } from "../../../data/formats/lmdb.ts";
import { bytesAccess } from "../../../data/formats/random_access.ts";
import { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

const BRANCH = 1, LEAF = 2, OVERFLOW = 4;

function make(draw: Draw): Uint8Array<ArrayBuffer> {
  const pageSize = draw.pick([512, 512, 4096, 65536]);
  const pages = 3 + draw.repeats(Math.min(2048, 2 ** 21 / pageSize));
  const file = new Uint8Array(pages * pageSize), view = new DataView(file.buffer);
  const root = 2 + draw.lie(0, pages);
  for (const meta of [0, pageSize]) {
    view.setUint32(meta + 16, 0xbeefc0de, true);
    view.setUint32(meta + 20, draw.lie(1), true);
    view.setUint32(meta + 40, draw.lie(pageSize), true);
    view.setBigUint64(meta + 128, BigInt(root), true);
    view.setBigUint64(meta + 144, BigInt(meta === 0 ? 1 : draw.lie(2)), true);
  }
  // The root branches to all others, in levels that lie one after another; sometimes to itself, or twice to one.
  const kindOf = (page: number) =>
    page === root ? BRANCH : draw.pick([LEAF, LEAF, BRANCH, OVERFLOW]);
  for (let page = 2; page < pages; page++) {
    const start = page * pageSize, kind = kindOf(page);
    view.setUint16(start + 10, draw.lie(kind, 0xffff), true);
    if (kind === OVERFLOW) {
      view.setUint32(start + 12, draw.lie(1 + draw.below(4)), true);
      continue;
    }
    let end = pageSize, nodes = 0;
    const overlaid = draw.chance(0.1), wanted = draw.repeats(1024);
    for (; nodes < wanted; nodes++) {
      const big = draw.chance(0.1), key = draw.below(8);
      const length = big ? draw.lie(pageSize) : draw.pick([0, 0, 1, 10, 100]);
      const size = 8 + key + (kind === BRANCH ? 0 : big ? 8 : length);
      if (16 + 2 * (nodes + 1) > end - size) break;
      const at = start + end - size;
      if (!overlaid || nodes === 0) end -= size;
      view.setUint16(start + 16 + 2 * nodes, draw.lie(overlaid ? end : end, 0xffff), true);
      const child = Math.min(pages - 1, draw.lie(Math.min(pages - 1, page + 1 + draw.below(4))));
      const low = kind === BRANCH ? child : draw.lie(length);
      view.setUint16(at, low % 65536, true);
      view.setUint16(at + 2, Math.floor(low / 65536), true);
      view.setUint16(at + 4, draw.lie(kind === BRANCH ? 0 : big ? 1 : 0, 0xffff), true);
      view.setUint16(at + 6, draw.lie(key, 0xffff), true);
      if (big && kind === LEAF) view.setBigUint64(at + 8 + key, BigInt(child), true);
    }
    view.setUint16(start + 12, draw.lie(16 + 2 * nodes, 0xffff), true);
  }
  return file;
}

const target: FuzzTarget = {
  name: "lmdb",
  sample: () => make(new Draw("lmdb sample", 0)),
  make,
  async read(file, path) {
    const places: number[] = [];
    for await (const { offset, length } of lmdbValues(bytesAccess(file), path)) {
      places.push(offset, length);
    }
    return places;
  },
};
export default target;
