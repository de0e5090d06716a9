/** Grids of samples as PNG: chunks that lie, repeat, and unpack to far more than the picture. */
import { crc32, deflateSync } from "node:zlib";
import { drawSampleGrid, readSampleGrid } from "../../../objectives/sample_grid.ts";
import { big, bomb, joined, latin } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

/** A chunk with its true checksum. */
export function chunk(
  draw: Draw | undefined,
  type: string,
  data: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const named = joined([latin(type), data]);
  const length = draw?.lie(data.length) ?? data.length;
  return joined([big(length, 4), named, big(crc32(named), 4)]);
}

/** A picture of such a side. */
export function png(
  draw: Draw | undefined,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  const lie = (value: number, most?: number) => draw?.lie(value, most) ?? value;
  const colour = draw?.pick([0, 2]) ?? 0, stride = 1 + width * (colour === 0 ? 1 : 3);
  const lines = new Uint8Array(stride * height);
  for (let line = 0; line < height; line++) lines[line * stride] = lie(line % 5, 255);
  const header = joined([
    ...[big(lie(width), 4), big(lie(height), 4)],
    Uint8Array.of(lie(8, 255), lie(colour, 255), 0, 0, lie(0, 255)),
  ]);
  const packed = draw?.chance(0.1)
    ? bomb(2 ** draw.pick([20, 24, 27]), (zeros) => deflateSync(zeros), "zlib")
    : new Uint8Array(deflateSync(lines));
  const pieces = draw?.chance(0.2) ? draw.repeats() : 1;
  const piece = Math.ceil(packed.length / pieces);
  return joined([
    latin("\x89PNG\r\n\x1a\n"),
    ...Array.from({ length: lie(1, 100) }, () => chunk(draw, "IHDR", header)),
    ...Array.from(
      { length: draw?.chance(0.1) ? draw.repeats() : 0 },
      () => chunk(draw, draw!.pick(["tEXt", "iCCP", "zTXt", "PLTE"]), draw!.bytes(12)),
    ),
    ...Array.from(
      { length: pieces },
      (_, at) => chunk(draw, "IDAT", packed.subarray(at * piece, (at + 1) * piece)),
    ),
    chunk(draw, "IEND", new Uint8Array()),
  ]);
}

const originals = new Float32Array(256);
const GRID = drawSampleGrid({ originals, reconstructions: originals, imageShape: [16, 16, 1] });
const [WIDTH, HEIGHT] = [16, 20].map((at) => new DataView(GRID.buffer).getUint32(at));

const target: FuzzTarget = {
  name: "png",
  sample: () => GRID,
  make: (draw) => png(draw, draw.lie(WIDTH, 2000), HEIGHT),
  read(file, path) {
    try {
      return readSampleGrid(file, 1, [16, 16, 1]);
    } catch (cause) { // As the run's folder does it.
      if (!(cause instanceof TypeError)) throw cause;
      throw new TypeError(`Cannot read ${path}: ${cause.message}`, { cause });
    }
  },
};
export default target;
