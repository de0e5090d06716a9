/** Attention and its gradients. */
import type { Kernel, View } from "../../backend.ts";
import type { AttentionAttributes, AttentionName, Attributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";
import { addressOf } from "./products.ts";

type Table = { readonly [N in AttentionName]: Kernel<Attributes[N], CpuBuffer> };
type Tensor = View<CpuBuffer>;

/** What a run of the module computes. */
const KINDS = { forward: 0, queries: 1, keys: 2, values: 3 };
const SCALE = 18; // in words: where the module expects the scale
const ROWS = 6; // of a packed panel
const COLUMNS = 8;
const MOST_ROWS = 96;
const TILE = 64;
const ENOUGH_TASKS = 16;
/** The maximum sequence length and head width for which one task computes a whole head, and the maximum length where
 * there are few heads. */
const SHORT = 256, NARROW = 256, SHORT_OF_FEW = 96;
const SHORT_SCALE = 17; // in words: where the module expects the scale then
/** The size of a thread's scratch memory for a task, in floats. */
const ROOM = 480_000;
/** The widest head for which a panel and a tile fit into the scratch memory. */
const WIDEST = 16_384;

/** The rows of a task and the columns of a tile: as many as fit into the scratch memory, with fewer rows if there are
 * few tasks. */
function blockOf(items: number, rows: number, width: number): readonly [number, number] {
  if (width > WIDEST) {
    throw new RangeError(
      `Cannot attend on cpu: a head must have at most ${WIDEST} elements, got ${width}`,
    );
  }
  const padded = Math.ceil(width / COLUMNS) * COLUMNS;
  const floats = (height: number, tile: number) =>
    3 * height * width + tile * padded + 3 * height * tile + COLUMNS;
  let height = MOST_ROWS, tile = TILE;
  while (height > 24 && items * Math.ceil(rows / height) < ENOUGH_TASKS) height /= 2;
  while (height > ROWS && floats(height, tile) > ROOM) height = Math.ceil(height / 2 / ROWS) * ROWS;
  while (tile > COLUMNS && floats(height, tile) > ROOM) tile /= 2;
  return [height, tile];
}

/** The operands of a run of the module; see assembly/attention.ts. */
interface Run {
  readonly kind: number;
  readonly rows: Tensor;
  readonly columns: Tensor;
  readonly otherRows?: Tensor;
  readonly otherColumns?: Tensor;
  readonly weighed: Tensor;
  readonly output: Tensor;
  readonly logsumexps: Tensor;
  readonly totals?: Tensor;
  readonly visible: Tensor | undefined;
}

/** Whether one task computes a whole head; see assembly/short_attention.ts. */
const isShort = (
  { shape: [batch, queries, heads, width] }: Tensor,
  { shape: [, keys] }: Tensor,
): boolean => {
  const longest = batch * heads < ENOUGH_TASKS ? SHORT_OF_FEW : SHORT;
  return Math.max(queries, keys) <= longest && width <= NARROW;
};

/** Whether each sequence has one query, and a task's scratch memory holds a weight for each key; see
 * assembly/one_query.ts. */
const isOneQuery = ({ shape: [, queries] }: Tensor, { shape: [, keys] }: Tensor): boolean =>
  queries === 1 && keys <= ROOM;

/** The kernels of attention. */
export function attentionKernels(machine: Machine): Table {
  const run = (tensors: Run, { causal, scale }: AttentionAttributes): void => {
    const { kind, rows, columns, otherRows, otherColumns, weighed, output } = tensors;
    const { logsumexps, totals, visible } = tensors;
    const [batch, count, heads, width] = rows.shape;
    const [height, tile] = blockOf(batch * heads, count, width);
    const addresses = [rows, columns, otherRows, otherColumns, weighed, output, logsumexps, totals];
    machine.describe([
      ...[...addresses, visible].map(addressOf),
      ...[batch, count, columns.shape[1], heads, width, height, tile, kind, Number(causal)],
    ]);
    machine.describeFloats([scale], SCALE);
    machine.exports.attention();
  };
  const short = (
    tensors: readonly (Tensor | undefined)[],
    [q, k]: readonly Tensor[],
    { causal, scale }: AttentionAttributes,
  ): void => {
    const [batch, count, heads, width] = q.shape;
    machine.describe([
      ...tensors.map(addressOf),
      ...[batch, count, k.shape[1], heads, width, Number(causal)],
    ]);
    machine.describeFloats([scale], SHORT_SCALE);
  };
  return {
    attention: (inputs, [output, logsumexps], attributes) => {
      const [q, k, v, visible] = inputs;
      if (isOneQuery(q, k) || isShort(q, k)) {
        const gradients = new Array<undefined>(5);
        short([q, k, v, output, logsumexps, ...gradients, visible], inputs, attributes);
        const { oneQueryAttention, shortAttention } = machine.exports;
        return isOneQuery(q, k) ? oneQueryAttention() : shortAttention();
      }
      const rest = { kind: KINDS.forward, output, logsumexps, visible };
      run({ ...rest, rows: q, columns: k, weighed: v }, attributes);
    },
    attentionGradient: (inputs, outputs, attributes) => {
      const [q, k, v, g, logsumexps, totals, visible] = inputs;
      if (isShort(q, k)) {
        short([q, k, v, undefined, logsumexps, g, totals, ...outputs, visible], inputs, attributes);
        return machine.exports.shortAttentionGradient();
      }
      const kept = { logsumexps, totals, visible };
      const byQueries = { rows: q, columns: k, otherRows: g, otherColumns: v, weighed: k };
      const byKeys = { rows: k, columns: q, otherRows: v, otherColumns: g, weighed: q };
      const byValues = { rows: k, columns: q, weighed: g, totals: undefined };
      const [byQ, byK, byV] = outputs;
      run({ ...kept, ...byQueries, kind: KINDS.queries, output: byQ }, attributes);
      run({ ...kept, ...byKeys, kind: KINDS.keys, output: byK }, attributes);
      run({ ...kept, ...byValues, kind: KINDS.values, output: byV }, attributes);
    },
  };
}
