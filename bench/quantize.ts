/** Nearest codes and nearest features: 2·N·K·D operations each. */
import { uniform } from "../core/functions/creation.ts";
import { nearest } from "../core/functions/indexing.ts";
import { randomKey } from "../core/random.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

/** N, K and D: features, codes and dimensions. */
type Lengths = readonly [count: number, size: number, width: number];

/** Scales N, K and D separately. */
const SCALES: readonly (readonly [Lengths, size?: "N" | "K" | "D"])[] = [
  ...[784, 3136, 12544, 50176].map((count) => [[count, 512, 64], "N"] as const),
  ...[64, 512, 4096, 16384].map((size) => [[6272, size, 64], "K"] as const),
  ...[4, 16, 64, 256].map((width) => [[6272, 512, width], "D"] as const),
];

/** Rows for both directions and both distances. N is 49 features per image. */
export const quantizeBench: Bench = async function* (device, { batch, runs, scaling }) {
  const usual: typeof SCALES = [[[49 * batch, 512, 64]]];
  for (const [[count, size, width], name] of scaling ? SCALES : usual) {
    using _scope = device.scope();
    const features = uniform(device, [count, width], randomKey(1, "features"), -1, 1);
    const codebook = uniform(device, [size, width], randomKey(1, "codebook"), -1, 1);
    for (const distance of ["l2", "cos"] as const) {
      const directions = [["codes", features, codebook], ["features", codebook, features]] as const;
      for (const [what, queries, keys] of directions) {
        const ms = await fastest(device, runs, () => nearest(queries, keys, { distance }));
        const about = `nearest ${what}, ${distance}, N=${count} K=${size} D=${width}`;
        const row = arithmeticRow("quantize", device, about, ms, 2 * count * size * width);
        const of = `nearest ${what}, ${distance}`, values = { N: count, K: size, D: width };
        yield name === undefined
          ? row
          : { ...row, varied: { of, size: name, value: values[name], expected: 1 } };
      }
    }
  }
};
