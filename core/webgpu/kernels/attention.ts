/** Attention and its gradients, without the weight matrix in memory. */
import type { Kernel, View } from "../../backend.ts";
import type { AttentionAttributes, AttentionName, Attributes } from "../../ops.ts";
import { floatBits, type Launcher, workgroupsFor } from "../launch.ts";
import { checkLoops } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { ROW_THREADS, type RowKind, rowShader } from "./attention_rows.ts";
import { DEPTH, tileFor, type TileKind, tileShader } from "./attention_tiles.ts";

type Table = { readonly [N in AttentionName]: Kernel<Attributes[N], WebGpuBuffer> };

/** The tensors of a launch. The first two inputs are the rows and the columns. */
interface Operands {
  readonly inputs: readonly View<WebGpuBuffer>[];
  /** How many keys each query sees. */
  readonly visible: View<WebGpuBuffer> | undefined;
  readonly outputs: readonly View<WebGpuBuffer>[];
}

/** The sizes of a launch. */
interface Sizes {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly heads: number;
  readonly width: number;
  /** A query sees the keys whose index is below its own index plus this. */
  readonly ahead: number;
}

function sizesOf({ inputs }: Operands, causal: boolean, rowsAreQueries: boolean): Sizes {
  const [batch, rows, heads, width] = inputs[0].shape, columns = inputs[1].shape[1];
  const [queries, keys] = rowsAreQueries ? [rows, columns] : [columns, rows];
  return { batch, rows, columns, heads, width, ahead: causal ? keys - queries + 1 : keys };
}

function buffersOf(
  { inputs, visible, outputs }: Operands,
): { readonly inputs: readonly WebGpuBuffer[]; readonly outputs: readonly WebGpuBuffer[] } {
  const present = visible === undefined ? inputs : [...inputs, visible];
  return {
    inputs: present.map(({ buffer }) => buffer),
    outputs: outputs.map(({ buffer }) => buffer),
  };
}

/** Launches a shader of tiles over all blocks of rows. */
function launchTiles(
  launcher: Launcher,
  kind: TileKind,
  operands: Operands,
  { causal, scale }: AttentionAttributes,
): void {
  const byQueries = kind === "forward" || kind === "queries";
  const { batch, rows, columns, heads, width, ahead } = sizesOf(operands, causal, byQueries);
  const tile = tileFor(launcher, width);
  const sums = Math.ceil(width / (4 * tile.across)), vectors = width % 4 === 0;
  const masked = operands.visible !== undefined;
  const tiles = Math.ceil(columns / (4 * tile.across));
  const chunks = Math.ceil(width / (4 * DEPTH));
  const brought = (tile.down * tile.own + 4 * tile.across) * DEPTH / (tile.down * tile.across);
  checkLoops(
    launcher,
    "attention",
    tiles * (2 * chunks * (brought + DEPTH + 2) + 6 * tile.across + 1),
  );
  const blocks = Math.ceil(rows / (tile.down * tile.own));
  const exchange = Math.min(launcher.subgroups?.least ?? 1, tile.across);
  const groups = batch * heads * blocks;
  launcher.launch({
    key: `attention/${kind}/${tile.across}/${sums}/${vectors}/${masked}`,
    shader: () => tileShader({ kind, tile, sums, vectors, masked, exchange }),
    ...buffersOf(operands),
    numbers: [rows, columns, heads, width, ahead, blocks, groups, floatBits(scale)],
    workgroups: groups,
  });
}

/** The maximum number of vectors of four that a thread keeps of each tensor, and the maximum width of a head whose rows
 * it keeps. */
const MOST_VECTORS = 64;
const WIDEST = 64;

/** The maximum number of buffers of a shader of rows: that of the gradients of keys and values with `visible`. */
const ROW_BUFFERS = 9;

/** Whether rows are kept in registers. Wider heads would make a long shader. */
function inRegisters({ isSoftware, limits }: Launcher, { shape }: View): boolean {
  return isSoftware && shape[3] <= WIDEST &&
    limits.maxStorageBuffersPerShaderStage >= ROW_BUFFERS;
}

/** Launches a shader of rows over all blocks of them. */
function launchRows(
  launcher: Launcher,
  kind: RowKind,
  operands: Operands,
  { causal, scale }: AttentionAttributes,
): void {
  const sizes = sizesOf(operands, causal, kind !== "keys");
  const { batch, rows, columns, heads, width, ahead } = sizes;
  const most = Math.min(8, Math.floor(MOST_VECTORS / Math.ceil(width / 4)));
  const shape = {
    kind,
    rows: Math.min(rows, most),
    width,
    masked: operands.visible !== undefined,
  };
  checkLoops(launcher, "attention", columns + 1 + 2 * (shape.rows + 1));
  const blocks = Math.ceil(rows / shape.rows);
  const threads = batch * heads * blocks;
  launcher.launch({
    key: `attentionRows/${kind}/${shape.rows}/${width}/${shape.masked}`,
    shader: () => rowShader(shape),
    ...buffersOf(operands),
    numbers: [rows, columns, heads, ahead, blocks, threads, floatBits(scale)],
    workgroups: workgroupsFor(threads, ROW_THREADS),
  });
}

/** The kernels of attention. */
export function attentionKernels(launcher: Launcher): Table {
  return {
    attention: ([q, k, v, visible], outputs, attributes) => {
      const launch = inRegisters(launcher, q) ? launchRows : launchTiles;
      launch(launcher, "forward", { inputs: [q, k, v], visible, outputs }, attributes);
    },
    attentionGradient: ([q, k, v, g, l, d, visible], [byQ, byK, byV], attributes) => {
      const byQueries = { inputs: [q, k, g, v, l, d], visible, outputs: [byQ] };
      const byKeys = { inputs: [k, q, v, g, l, d], visible };
      if (inRegisters(launcher, q)) {
        launchRows(launcher, "queries", byQueries, attributes);
        launchRows(launcher, "keys", { ...byKeys, outputs: [byK, byV] }, attributes);
        return;
      }
      const byValues = { inputs: [k, q, g, l], visible, outputs: [byV] };
      launchTiles(launcher, "queries", byQueries, attributes);
      launchTiles(launcher, "keys", { ...byKeys, outputs: [byK] }, attributes);
      launchTiles(launcher, "values", byValues, attributes);
    },
  };
}
