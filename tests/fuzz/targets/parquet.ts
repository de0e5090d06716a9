/** Parquet: footers, chunks and pages that lie, repeat each other, and unpack to far more than they have. */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { openParquetColumn } from "../../../data/formats/parquet.ts";
import { bytesAccess } from "../../../data/formats/random_access.ts";
import { bomb, joined, latin, little, text } from "../build.ts";
import { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

type Part = Uint8Array<ArrayBuffer>;
const INTEGER = 6, BYTES = 8, LIST = 9, STRUCT = 12;

function varint(value: number): Part {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return Uint8Array.from([...bytes, value]);
}
const zigzag = (value: number) => varint(value < 0 ? -2 * value - 1 : 2 * value);
const integer = (value: number): Field => [INTEGER, zigzag(value)];
const bytes = (value: Part): Field => [BYTES, joined([varint(value.length), value])];

type Field = readonly [type: number, value: Part];

function struct(fields: Readonly<Record<number, Field | undefined>>): Part {
  let last = 0;
  const parts = Object.entries(fields).flatMap(([id, field]) => {
    if (field === undefined) return [];
    const delta = Number(id) - last;
    last = Number(id);
    return [Uint8Array.of(delta * 16 + field[0]), field[1]];
  });
  return joined([...parts, Uint8Array.of(0)]);
}

function list(draw: Draw, type: number, elements: readonly Part[]): Field {
  const length = draw.lie(elements.length);
  const header = length < 15 ? [Uint8Array.of(length * 16 + type)] : [
    Uint8Array.of(15 * 16 + type),
    varint(length),
  ];
  return [LIST, joined([...header, ...elements])];
}

/** A value that readers step over: nested lists, maps and structs. */
function nested(draw: Draw): Field {
  const depth = draw.repeats(4096);
  const kind = draw.pick([LIST, STRUCT]);
  if (kind === LIST) return [LIST, new Uint8Array(depth).fill(0x19)];
  return [STRUCT, joined([new Uint8Array(depth).fill(0x1c), new Uint8Array(depth + 1)])];
}

const CODECS = [0, 1, 2, 6];

function packed(draw: Draw, codec: number, page: Part): { data: Part; size: number } {
  if (draw.chance(0.05) && codec > 0) {
    const size = 2 ** draw.pick([16, 20, 23, 25]);
    if (codec === 1) {
      return { data: joined([varint(size), new Uint8Array(size / 64).fill(0xfe)]), size };
    }
    const pack = codec === 2 ? gzipSync : zstdCompressSync;
    return { data: bomb(size, (zeros) => pack(zeros), `${codec}`), size };
  }
  if (codec === 1) {
    const length = draw.lie(page.length);
    return {
      data: joined([
        varint(page.length),
        Uint8Array.of(63 * 4),
        little(Math.max(0, length - 1), 4),
        page,
      ]),
      size: page.length,
    };
  }
  if (codec === 2) return { data: new Uint8Array(gzipSync(page)), size: page.length };
  if (codec === 6) return { data: new Uint8Array(zstdCompressSync(page)), size: page.length };
  return { data: page, size: page.length };
}

/** Runs that say the same value `count` times, or bit-packed groups. */
function runs(draw: Draw, bits: number, count: number): Part {
  const width = Math.ceil(bits / 8);
  if (draw.chance(0.7)) {
    const value = draw.chance(0.9) ? bits === 1 ? 1 : 0 : draw.below(256);
    return joined([varint(draw.lie(count) * 2), new Uint8Array(width).fill(value)]);
  }
  const groups = Math.ceil(count / 8);
  return joined([varint(draw.lie(groups) * 2 + 1), draw.bytes(Math.min(groups * bits, 2 ** 16))]);
}

function values(draw: Draw, count: number): Part {
  const value = draw.bytes(draw.pick([0, 0, 1, 4, 30, 1000]));
  const one = joined([little(draw.lie(value.length), 4), value]);
  return joined(Array.from({ length: Math.min(count, 2 ** 16) }, () => one));
}

function page(
  draw: Draw,
  codec: number,
  optional: boolean,
  count: number,
  dictionary: boolean,
): Part {
  const second = draw.chance(0.4);
  const levels = optional ? runs(draw, 1, count) : new Uint8Array();
  const body = dictionary
    ? joined([Uint8Array.of(draw.lie(1, 255)), runs(draw, 1, count)])
    : values(draw, count);
  const plain = second || !optional
    ? body
    : joined([little(draw.lie(levels.length), 4), levels, body]);
  const { data, size } = packed(draw, codec, plain);
  const whole = second ? joined([levels, data]) : data;
  const counted = integer(draw.lie(count)), form = integer(draw.lie(dictionary ? 8 : 0));
  const header = struct({
    1: integer(second ? 3 : 0),
    2: integer(draw.lie(size + (second ? levels.length : 0))),
    3: integer(draw.lie(whole.length)),
    5: second ? undefined : [STRUCT, struct({ 1: counted, 2: form, 3: integer(3), 4: integer(3) })],
    8: second
      ? [
        STRUCT,
        struct({
          1: counted,
          2: integer(0),
          3: integer(count),
          4: form,
          5: integer(draw.lie(levels.length)),
          6: integer(draw.lie(0)),
          7: draw.chance(0.8) ? [1, new Uint8Array()] : [2, new Uint8Array()],
        }),
      ]
      : undefined,
    9: draw.chance(0.02) ? nested(draw) : undefined,
  });
  return joined([header, whole]);
}

function dictionaryPage(draw: Draw, codec: number): Part {
  const count = draw.repeats(4096);
  const { data, size } = packed(draw, codec, values(draw, count));
  const header = struct({
    1: integer(2),
    2: integer(draw.lie(size)),
    3: integer(draw.lie(data.length)),
    7: [STRUCT, struct({ 1: integer(draw.lie(count)), 2: integer(0) })],
  });
  return joined([header, data]);
}

function make(draw: Draw): Part {
  const inside = draw.chance(0.5), optional = draw.chance(0.7), codec = draw.pick(CODECS);
  const element = (name: string, children: number, type?: number) =>
    struct({
      1: type === undefined ? undefined : integer(draw.lie(type)),
      3: integer(optional ? 1 : 0),
      4: bytes(text(draw.chance(0.98) ? name : draw.name())),
      5: children === 0 ? undefined : integer(draw.lie(children)),
    });
  const schema = [
    struct({ 4: bytes(text("schema")), 5: integer(draw.lie(1)) }),
    ...inside ? [element("image", 1), element("bytes", 0, 6)] : [element("image", 0, 6)],
    ...Array.from({ length: draw.chance(0.05) ? draw.repeats() : 0 }, () => element("other", 0, 1)),
  ];
  const parts: Part[] = [latin("PAR1")];
  let at = 4, last: Part | undefined;
  const repeated = draw.chance(0.1);
  const groups = Array.from({ length: draw.repeats(repeated ? 4096 : 16) }, () => {
    let rows = 0;
    const start = at, dictionary = draw.chance(0.4);
    const pages: Part[] = [];
    if (dictionary) {
      for (let n = draw.lie(1, 3); n > 0; n--) pages.push(dictionaryPage(draw, codec));
    }
    for (let n = draw.repeats(repeated ? 2 : 64); n > 0; n--) {
      const count = draw.repeats(draw.pick([4, 1000, 2 ** 20]));
      rows += count;
      pages.push(page(draw, codec, optional, count, dictionary));
    }
    const chunk = joined(pages);
    if (!repeated || last === undefined) {
      parts.push(chunk);
      at += chunk.length;
    }
    const size = last === undefined || !repeated ? chunk.length : last.length;
    last ??= chunk;
    const path = (inside ? ["image", "bytes"] : ["image"]).map((part) => bytes(text(part))[1]);
    const metadata = struct({
      1: integer(6),
      3: list(draw, BYTES, path),
      4: integer(draw.lie(codec)),
      5: integer(rows),
      6: integer(size),
      7: integer(draw.lie(size)),
      9: integer(draw.lie(repeated ? 4 : start)),
      12: draw.chance(0.02) ? nested(draw) : undefined,
    });
    const column = struct({ 2: integer(start), 3: [STRUCT, metadata] });
    return struct({
      1: list(draw, STRUCT, [column]),
      2: integer(size),
      3: integer(draw.lie(rows)),
    });
  });
  const footer = struct({
    1: integer(2),
    2: list(draw, STRUCT, schema),
    3: integer(1),
    4: list(draw, STRUCT, groups),
    6: draw.chance(0.05) ? nested(draw) : undefined,
  });
  return joined([...parts, footer, little(draw.lie(footer.length), 4), latin("PAR1")]);
}

const target: FuzzTarget = {
  name: "parquet",
  sample: () => make(new Draw("parquet sample", 0)),
  make,
  async read(file, path) {
    const column = await openParquetColumn(bytesAccess(file), "image", path);
    let total = 0;
    for (const group of column.rows.keys()) {
      for await (const value of column.read(group)) total += value.length;
    }
    return total;
  },
};
export default target;
