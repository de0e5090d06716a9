/** ZIP: directories that lie, entries that overlap or repeat each other, and what unpacks to far more. */
import { crc32, deflateRawSync } from "node:zlib";
import { ZipArchive } from "../../../files/zip.ts";
import { bomb, joined, latin, little, text } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

/** An entry: its name and what it holds, or so many zeros. */
export type ZipEntry = readonly [name: string, contents: Uint8Array<ArrayBuffer> | number];

/** An archive of entries that are stored or deflated, which lies as the choices say. */
export function zip(draw: Draw | undefined, entries: readonly ZipEntry[]): Uint8Array<ArrayBuffer> {
  const lie = (value: number, most?: number) => draw?.lie(value, most) ?? value;
  const parts: Uint8Array[] = [], directory: Uint8Array[] = [];
  const shared = draw?.chance(0.05) === true; // All entries stand for the bytes of the first.
  let at = 0;
  for (const [name, contents] of entries) {
    const isBomb = typeof contents === "number";
    const deflated = isBomb || draw?.chance(0.2) === true;
    const size = isBomb ? contents : contents.length;
    const packed = isBomb
      ? bomb(contents, (zeros) => deflateRawSync(zeros), "deflate")
      : deflated
      ? new Uint8Array(deflateRawSync(contents))
      : contents;
    const checksum = isBomb ? 0 : crc32(contents);
    const named = text(name);
    const description = joined([
      little(deflated ? 8 : lie(0, 0xffff), 2),
      new Uint8Array(4),
      little(checksum, 4),
      little(lie(packed.length), 4),
      little(lie(size), 4),
      little(named.length, 2),
    ]);
    directory.push(
      joined([latin("PK\x01\x02"), new Uint8Array(6), description]),
      new Uint8Array(12),
      little(shared ? 0 : lie(at), 4),
      named,
    );
    if (shared && at > 0) continue;
    const local = joined([
      ...[latin("PK\x03\x04"), new Uint8Array(4), description, little(lie(0, 0xffff), 2)],
      ...[named, packed],
    ]);
    parts.push(local);
    at += local.length;
  }
  const listed = joined(directory);
  const count = little(lie(entries.length, 0xffff), 2);
  return joined([
    ...parts,
    listed,
    ...[latin("PK\x05\x06"), new Uint8Array(4), count, count, little(listed.length, 4)],
    ...[little(lie(at), 4), new Uint8Array(2)],
  ]);
}

const target: FuzzTarget = {
  name: "zip",
  sample: () => zip(undefined, [["a", text("contents")]]),
  make(draw) {
    const count = draw.repeats(8192), same = draw.chance(0.1);
    return zip(
      draw,
      Array.from({ length: count }, (_, at): ZipEntry => {
        const name = same ? "a" : `${draw.name(draw.chance(0.02) ? draw.repeats() : 2)}${at}`;
        if (draw.chance(0.02)) return [name, 2 ** draw.pick([10, 20, 24, 26])];
        return [name, draw.bytes(draw.pick([0, 1, 100, 1000]))];
      }),
    );
  },
  read(file, path) {
    const archive = new ZipArchive(file, path);
    let total = 0;
    for (const name of archive.names) total += archive.read(name, 2 ** 28).length;
    return total;
  },
};
export default target;
