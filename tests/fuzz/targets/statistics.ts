/** Statistics of features: NumPy's arrays in an archive, whose headers lie. */
import { decodeStatistics } from "../../../metrics/statistics_file.ts";
import { joined, latin, little } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";
import { zip, type ZipEntry } from "./zip.ts";

function array(draw: Draw | undefined, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const lie = (value: number, most?: number) => draw?.lie(value, most) ?? value;
  const sides = shape.map((side) => `${lie(side)}, `).join("").repeat(
    draw?.chance(0.02) ? draw.repeats() : 1,
  );
  const width = draw?.pick([4, 8]) ?? 8;
  const header = `{'descr': '<f${width}', 'fortran_order': False, 'shape': (${sides}), } \n`;
  const length = shape.reduce((product, side) => product * side, 1);
  return joined([
    latin("\x93NUMPY\x01\x00"),
    little(lie(header.length, 0xffff), 2),
    latin(header),
    new Uint8Array(lie(width * length, 2 ** 20)),
  ]);
}

function make(draw: Draw | undefined): Uint8Array<ArrayBuffer> {
  const dimensions = draw === undefined ? 2 : draw.repeats(256);
  const entries: ZipEntry[] = [
    ["mu.npy", array(draw, [dimensions])],
    ["sigma.npy", draw?.chance(0.05) ? 2 ** 26 : array(draw, [dimensions, dimensions])],
  ];
  if (draw?.chance(0.1)) entries.push(...entries);
  return zip(draw, entries);
}

const target: FuzzTarget = {
  name: "statistics",
  sample: () => make(undefined),
  make,
  read: (file, path) => decodeStatistics(file, path),
};
export default target;
