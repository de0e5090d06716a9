/** Attention of eight heads of width 32, with its gradients. Operations are counted as in the matrix products of the
 * definition: two in the forward pass (4·S·T·D operations per head), and four in the backward pass, which assumes that
 * the weights are stored. Recomputation in a kernel is not counted. */
import { execute } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { randomKey } from "../core/random.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

const LENGTHS = [64, 256, 1024];
const HEADS = 8;
const WIDTH = 32;
/** The number of tokens in a run, in as many sequences as needed, so that a run is long enough to measure. */
const TOKENS = 1024;

/** Rows for each length: the forward pass, and the gradients of queries, keys and values together. */
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
