/** The ways to cut a matrix product into tiles, and which of them an adapter can run. */

/** The limits of an adapter that decide what it can run. */
export interface TilingLimits {
  /** Threads in a workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Bytes that the threads of a workgroup can share. */
  readonly maxComputeWorkgroupStorageSize: number;
}

/** Each thread computes a tile by itself; its operands come straight from memory. */
export interface RegisterTiling {
  readonly kind: "registers";
  /** Rows and columns of a thread's tile. */
  readonly rows: number;
  readonly columns: number;
}

/** A workgroup computes a tile together; its operands pass through the workgroup's memory, `depth` at a time. */
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

/** A way to cut a matrix product. */
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

/** The tilings of an adapter's products. */
export interface Tilings {
  /** Of matrix products. */
  readonly matmul: Tiling;
  /** Of convolutions and their gradients. */
  readonly convolution: Tiling;
}

/** For narrow products, and for adapters that can do no better. */
const NARROW = workgroup([32, 32, 16], [4, 4]);

// The first that fits is taken where nothing was measured: of GPUs' the fastest on an H100 (bench/RESULTS.md).
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

/** The most bytes of workgroup memory that a tiling takes: its two operands, with a gap behind each line. */
function sharedBytes({ rows, columns, depth }: WorkgroupTiling): number {
  return (rows + columns) * (depth + 4) * 4;
}

/** `64x64x16/8x4` in workgroup memory: the tile, its depth, and a thread's part; `8x16` in registers. */
export function tilingName(tiling: Tiling): string {
  const { rows, columns } = tiling;
  if (tiling.kind === "registers") return `${rows}x${columns}`;
  return `${rows}x${columns}x${tiling.depth}/${tiling.threadRows}x${tiling.threadColumns}`;
}

/** The tilings that an adapter can run; the first is the one to take where nothing was measured. */
export function tilingsFor(isSoftware: boolean, limits: TilingLimits): readonly Tiling[] {
  if (isSoftware) return SOFTWARE;
  return GPU.filter((tiling) =>
    tiling.kind === "registers" ||
    threadsOf(tiling) <= limits.maxComputeInvocationsPerWorkgroup &&
      sharedBytes(tiling) <= limits.maxComputeWorkgroupStorageSize
  );
}

/** The tiling for an output of so many rows and columns: one that is not mostly empty. */
export function fitTiling(tiling: Tiling, rows: number, columns: number): Tiling {
  if (tiling.kind === "registers") {
    return { ...tiling, columns: Math.min(tiling.columns, columns) };
  }
  return Math.min(rows, columns) <= NARROW.rows ? NARROW : tiling;
}
