/** Nearest codes, in both directions: 2·N·K·D operations each. */
import { uniform } from "../core/functions/creation.ts";
import { nearest } from "../core/functions/indexing.ts";
import { randomKey } from "../core/random.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

/** Codes and dimensions. */
const CODEBOOKS: readonly (readonly [size: number, width: number])[] = [
  [512, 64],
  [1024, 64],
  [512, 256],
];

/** Rows for several codebooks; N is 49 features an image. */
export const quantizeBench: Bench = async function* (device, { batch, runs }) {
  for (const [size, width] of CODEBOOKS) {
    using _scope = device.scope();
    const count = 49 * batch;
    const features = uniform(device, [count, width], randomKey(1, "features"), -1, 1);
    const codebook = uniform(device, [size, width], randomKey(1, "codebook"), -1, 1);
    for (const distance of ["l2", "cos"] as const) {
      const directions = [["codes", features, codebook], ["features", codebook, features]] as const;
      for (const [what, queries, keys] of directions) {
        const ms = await fastest(device, runs, () => nearest(queries, keys, { distance }));
        const about = `nearest ${what}, ${distance}, N=${count} K=${size} D=${width}`;
        yield arithmeticRow("quantize", device, about, ms, 2 * count * size * width);
      }
    }
  }
};
