/** Attention and its gradients. */
import type { Kernel, View } from "../../backend.ts";
import type {
  AttentionAttributes,
  AttentionName,
  AttentionOperand,
  Attributes,
} from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";
import { addressOf } from "./products.ts";

type Table = { readonly [N in AttentionName]: Kernel<Attributes[N], CpuBuffer> };
type Tensor = View<CpuBuffer>;

const KINDS: Readonly<Record<AttentionOperand, number>> = { queries: 1, keys: 2, values: 3 };
const FORWARD = 0;
const SCALE = 18; // in words: where the module expects the scale
const ROWS = 6; // of a packed panel
const COLUMNS = 8;
const MOST_ROWS = 96;
const TILE = 64;
const ENOUGH_TASKS = 16;
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
  return {
    attention: ([q, k, v, visible], [output, logsumexps], attributes) => {
      const rows = q, columns = k, weighed = v;
      run({ kind: FORWARD, rows, columns, weighed, output, logsumexps, visible }, attributes);
    },
    attentionGradient: ([q, k, v, g, logsumexps, totals, visible], [output], attributes) => {
      const kind = KINDS[attributes.of];
      const rest = { kind, output, logsumexps, visible };
      const byQueries = { rows: q, columns: k, otherRows: g, otherColumns: v, weighed: k, totals };
      const byKeys = { rows: k, columns: q, otherRows: v, otherColumns: g, weighed: q, totals };
      const byValues = { rows: k, columns: q, weighed: g };
      const tensors = { queries: byQueries, keys: byKeys, values: byValues }[attributes.of];
      run({ ...rest, ...tensors }, attributes);
    },
  };
}
