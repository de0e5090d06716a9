/** gzip: files in files, rows of files, and what unpacks to a thousand times its size. */
import { gzipSync } from "node:zlib";
import { StreamSource } from "../../../data/formats/byte_source.ts";
import { unpackFile } from "../../../data/formats/gzip.ts";
import { gzip } from "../../data/archives.ts";
import { bomb, joined, text } from "../build.ts";
import type { FuzzTarget } from "../target.ts";

const target: FuzzTarget = {
  name: "gzip",
  sample: () => gzip(text("some bytes")),
  make(draw) {
    const part = () =>
      draw.chance(0.2)
        ? bomb(2 ** draw.pick([16, 20, 24, 26, 28]), (zeros) => gzipSync(zeros), "gzip")
        : gzip(draw.bytes(draw.pick([0, 10, 1000, 100_000])));
    const whole = joined(Array.from({ length: draw.repeats(64) }, part));
    if (draw.chance(0.2)) return gzip(whole);
    return draw.chance(0.3) ? whole.slice(0, draw.below(whole.length)) : whole;
  },
  read: async (_, path) => await new StreamSource(unpackFile(path, 2 ** 28)).read(2 ** 28),
};
export default target;
