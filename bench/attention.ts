/** Attention of eight heads of 32, with its gradients. An operation is counted as in the matrix products
 * of the definition: two of them forward (4·S·T·D operations a head), and four backward, where the weights are there.
 * What a kernel computes again is not counted. */
import { execute } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { randomKey } from "../core/random.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

const LENGTHS = [64, 256, 1024];
const HEADS = 8;
const WIDTH = 32;
/** Tokens of a run: of so many sequences that a run is not too short to be measured. */
const TOKENS = 1024;

/** Rows for each length: forward, and the gradients of queries, keys and values together. */
export const attentionBench: Bench = async function* (device, { runs }) {
  for (const length of LENGTHS) {
    using _scope = device.scope();
    const batch = TOKENS / length;
    const shape = [batch, length, HEADS, WIDTH];
    const [q, k, v, g] = ["q", "k", "v", "g"].map((name) =>
      uniform(device, shape, randomKey(1, name), -1, 1)
    );
    const attributes = { causal: false, scale: 1 / Math.sqrt(WIDTH) };
    const [, logsumexps] = execute(device, "attention", [q, k, v], attributes);
    const totals = uniform(device, logsumexps.shape, randomKey(1, "d"), -1, 1);
    const products = batch * HEADS * length ** 2 * WIDTH;
    const about = `${batch} of ${length} tokens, ${HEADS} heads of ${WIDTH}`;
    const forward = () => execute(device, "attention", [q, k, v], attributes);
    const backward = () =>
      execute(device, "attentionGradient", [q, k, v, g, logsumexps, totals], attributes);
    for (
      const [part, body, operations] of [
        ["forward", forward, 4 * products],
        ["backward", backward, 8 * products],
      ] as const
    ) {
      const ms = await fastest(device, runs, body);
      yield arithmeticRow("attention", device, `${part} ${about}`, ms, operations);
    }
  }
};
