/** The ways to tile a matrix product, and which of them an adapter can run. */

/** The limits of an adapter that matter for tilings. */
export interface TilingLimits {
  /** The maximum number of threads per workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** The maximum shared memory of a workgroup in bytes. */
  readonly maxComputeWorkgroupStorageSize: number;
}

/** Each thread computes one tile and reads its operands directly from memory. */
export interface RegisterTiling {
  readonly kind: "registers";
  /** Rows and columns of a thread's tile. */
  readonly rows: number;
  readonly columns: number;
}

/** The threads of a workgroup compute a tile together. The operands are copied to workgroup memory, `depth` at a
 * time. */
export interface WorkgroupTiling {
  readonly kind: "workgroup";
  /** Rows and columns of the workgroup's tile. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Rows and columns of each thread's part. */
  readonly threadRows: number;
  readonly threadColumns: number;
}

/** A way to tile a matrix product. */
export type Tiling = RegisterTiling | WorkgroupTiling;

function registers(rows: number, columns: number): Tiling {
  return { kind: "registers", rows, columns };
}

function workgroup(
  [rows, columns, depth]: readonly [number, number, number],
  [threadRows, threadColumns]: readonly [number, number],
): WorkgroupTiling {
  return { kind: "workgroup", rows, columns, depth, threadRows, threadColumns };
}

/** The tilings that an adapter uses for products. */
export interface Tilings {
  /** For matrix products. */
  readonly matmul: Tiling;
  /** For convolutions and their gradients. */
  readonly convolution: Tiling;
}

/** For narrow products, and for adapters that cannot run a larger tiling. */
const NARROW = workgroup([32, 32, 16], [4, 4]);

// Without measurements, the first tiling that fits is used. For GPUs, the first is the fastest on an H100
// (bench/RESULTS.md).
const SOFTWARE: readonly Tiling[] = [
  registers(8, 16),
  registers(4, 16),
  registers(8, 8),
  registers(16, 8),
];
const GPU: readonly Tiling[] = [
  workgroup([128, 64, 16], [8, 8]),
  workgroup([64, 64, 16], [4, 4]),
  workgroup([64, 64, 16], [8, 4]),
  workgroup([64, 64, 16], [8, 8]),
  workgroup([128, 64, 16], [8, 4]),
  workgroup([128, 128, 8], [8, 8]),
  workgroup([128, 128, 16], [8, 8]),
  workgroup([128, 128, 32], [8, 8]),
  NARROW,
  registers(4, 8),
  registers(8, 8),
];

/** The threads of a workgroup. */
export function threadsOf({ rows, columns, threadRows, threadColumns }: WorkgroupTiling): number {
  return rows / threadRows * (columns / threadColumns);
}

/** The maximum workgroup memory of a tiling in bytes: its two operands, with a gap after each line. */
function sharedBytes({ rows, columns, depth }: WorkgroupTiling): number {
  return (rows + columns) * (depth + 4) * 4;
}

/** `64x64x16/8x4` in workgroup memory: the tile, its depth, and a thread's part; `8x16` in registers. */
export function tilingName(tiling: Tiling): string {
  const { rows, columns } = tiling;
  if (tiling.kind === "registers") return `${rows}x${columns}`;
  return `${rows}x${columns}x${tiling.depth}/${tiling.threadRows}x${tiling.threadColumns}`;
}

/** The tilings that an adapter can run. Without measurements, use the first. */
export function tilingsFor(isSoftware: boolean, limits: TilingLimits): readonly Tiling[] {
  if (isSoftware) return SOFTWARE;
  return GPU.filter((tiling) =>
    tiling.kind === "registers" ||
    threadsOf(tiling) <= limits.maxComputeInvocationsPerWorkgroup &&
      sharedBytes(tiling) <= limits.maxComputeWorkgroupStorageSize
  );
}

/** The tiling for an output of a given size: one whose tiles are not mostly empty. */
export function fitTiling(tiling: Tiling, rows: number, columns: number): Tiling {
  if (tiling.kind === "registers") {
    return { ...tiling, columns: Math.min(tiling.columns, columns) };
  }
  return Math.min(rows, columns) <= NARROW.rows ? NARROW : tiling;
}
