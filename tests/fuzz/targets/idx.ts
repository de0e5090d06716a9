/** IDX: shapes that lie. */
import { readIdx } from "../../../data/formats/idx.ts";
import { idx } from "../../data/archives.ts";
import { joined } from "../build.ts";
import type { FuzzTarget } from "../target.ts";

const target: FuzzTarget = {
  name: "idx",
  sample: () => idx([2, 3], new Uint8Array(6)),
  make(draw) {
    const axes = draw.chance(0.9) ? 1 + draw.below(4) : draw.below(256);
    const shape = Array.from({ length: axes }, () => axes > 4 ? 1 : 1 + draw.below(20));
    const length = shape.reduce((product, side) => product * side, 1);
    const file = idx(shape.map((side) => draw.lie(side)), draw.bytes(draw.lie(length, 2 ** 20)));
    return draw.chance(0.1) ? joined([file, file]) : file;
  },
  read: (file, path) => readIdx(file, path),
};
export default target;
