/** Square matrix products: 2·n³ operations. */
import { uniform } from "../core/functions/creation.ts";
import { matmul } from "../core/functions/products.ts";
import { randomKey } from "../core/random.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

const SIZES = [256, 512, 1024];
/** Larger sizes, which keep a large GPU busy. */
const SCALED_SIZES = [2048, 4096];

/** Rows for several sizes. */
export const matmulBench: Bench = async function* (device, { runs, scaling }) {
  for (const n of scaling ? [...SIZES, ...SCALED_SIZES] : SIZES) {
    using _scope = device.scope();
    const [a, b] = ["a", "b"].map((name) => uniform(device, [n, n], randomKey(1, name), -1, 1));
    const ms = await fastest(device, runs, () => matmul(a, b));
    yield arithmeticRow("matmul", device, `${n}x${n}x${n}`, ms, 2 * n ** 3);
  }
};
