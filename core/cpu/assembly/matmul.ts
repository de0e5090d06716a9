/** Matrix products: C [batch, M, N] = A · B. Each operand may be stored transposed. */
import { job, parallel, scratch } from "./pool";
import { ADD, block, COLUMNS, depthStep, padded, PANELS_A, ROW_TABLE, ROWS } from "./gemm";
import { interleave6, interleave8, take6, take8 } from "./pack";
import { sumParts } from "./parts";

const BLOCK_ROWS: i32 = 96;
const BLOCK_COLUMNS: i32 = 512;

@unmanaged
class Product {
  a: usize;
  b: usize;
  c: usize;
  packed: usize;
  rows: i32;
  columns: i32;
  depth: i32;
  strideA: usize; // bytes from one matrix of A to the next, 0 if there is one
  strideB: usize;
  transposeA: i32;
  transposeB: i32;
  batches: i32;
  batchesB: i32;
  splits: i32; // the number of parts of the reduction axis, which are summed afterwards
  splitDepth: i32;
  partials: usize;
}

/** Packs the part [first, last) of the reduction axis of B into panels that all threads read. */
function packTask(index: i32): void {
  const p = changetype<Product>(job);
  const panels = padded(p.columns) / COLUMNS;
  const batch = index / panels, panel = index % panels;
  const source = p.b + <usize> batch * p.strideB;
  const target = p.packed + ((<usize> batch * p.depth * padded(p.columns)) << 2);
  const column = panel * COLUMNS;
  for (let split = 0; split < p.splits; split++) {
    const first = split * p.splitDepth, last = min(first + p.splitDepth, p.depth);
    const step = depthStep(last - first);
    for (let k = first; k < last; k += step) {
      const length = min(step, last - k);
      const to = target + (<usize> (k * padded(p.columns) + panel * length * COLUMNS) << 2);
      if (p.transposeB) {
        interleave8(
          to,
          source + (<usize> (column * p.depth + k) << 2),
          <usize> p.depth << 2,
          min(p.columns - column, COLUMNS),
          length,
        );
      } else {
        take8(
          to,
          source + (<usize> (k * p.columns + column) << 2),
          <usize> p.columns << 2,
          length,
        );
      }
    }
  }
}

/** Packs rows [row, row + height) of A over [k, k + length). */
function packRows(p: Product, source: usize, row: i32, height: i32, k: i32, length: i32): void {
  let to = scratch + PANELS_A;
  for (let i = 0; i < height; i += ROWS) {
    if (p.transposeA) {
      take6(
        to,
        source + (<usize> (k * p.rows + row + i) << 2),
        <usize> p.rows << 2,
        length,
      );
    } else {
      for (let j = 0; j < ROWS; j++) {
        const at = row + min(i + j, height - 1);
        store<u32>(scratch + (j << 2), <u32> (source + (<usize> (at * p.depth + k) << 2)));
      }
      interleave6(to, scratch, 0, length);
    }
    to += <usize> (length * ROWS) << 2;
  }
}

function productTask(index: i32): void {
  const p = changetype<Product>(job);
  const columnBlocks = (p.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
  const rowBlocks = (p.rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  let rest = index;
  const columnBlock = rest % columnBlocks;
  rest /= columnBlocks;
  const rowBlock = rest % rowBlocks;
  rest /= rowBlocks;
  const split = rest % p.splits, batch = rest / p.splits;

  const row = rowBlock * BLOCK_ROWS, height = min(BLOCK_ROWS, p.rows - row);
  const column = columnBlock * BLOCK_COLUMNS, width = min(BLOCK_COLUMNS, p.columns - column);
  const first = split * p.splitDepth, last = min(first + p.splitDepth, p.depth);
  const size = (<usize> p.rows * p.columns) << 2;
  const target = p.splits == 1
    ? p.c + <usize> batch * size
    : p.partials + <usize> (split * p.batches + batch) * size;
  const table = scratch + ROW_TABLE;
  for (let i = 0; i < height; i++) {
    store<u32>(table + (i << 2), <u32> (target + ((<usize> (row + i) * p.columns) << 2)));
  }
  const source = p.a + <usize> batch * p.strideA;
  const packed = p.packed +
    (p.batchesB == 1 ? 0 : ((<usize> batch * p.depth * padded(p.columns)) << 2));
  const step = depthStep(last - first);
  for (let k = first; k < last; k += step) {
    const length = min(step, last - k);
    packRows(p, source, row, height, k, length);
    block(
      length,
      scratch + PANELS_A,
      packed + (<usize> (k * padded(p.columns) + column * length) << 2),
      table,
      height,
      column,
      width,
      k > first ? ADD : 0,
      0,
    );
  }
}

/** C = A · B.
 * @param batchesA the number of matrices in A, 1 or `batches`; likewise `batchesB`
 * @param packed room for batchesB · depth · (columns rounded up to 8) floats
 * @param partials room for splits · batches · rows · columns floats, if splits > 1
 */
export function matmul(
  a: usize,
  b: usize,
  c: usize,
  packed: usize,
  partials: usize,
  batches: i32,
  batchesA: i32,
  batchesB: i32,
  rows: i32,
  depth: i32,
  columns: i32,
  transposeA: i32,
  transposeB: i32,
  splits: i32,
): void {
  const p = changetype<Product>(job);
  p.a = a;
  p.b = b;
  p.c = c;
  p.packed = packed;
  p.partials = partials;
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.strideA = batchesA == 1 ? 0 : (<usize> rows * depth) << 2;
  p.strideB = batchesB == 1 ? 0 : (<usize> depth * columns) << 2;
  p.transposeA = transposeA;
  p.transposeB = transposeB;
  p.batches = batches;
  p.batchesB = batchesB;
  p.splitDepth = (depth + splits - 1) / splits;
  p.splits = (depth + p.splitDepth - 1) / p.splitDepth;
  parallel(packTask, batchesB * (padded(columns) / COLUMNS));
  parallel(
    productTask,
    batches * p.splits * ((rows + BLOCK_ROWS - 1) / BLOCK_ROWS) *
      ((columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS),
  );
  if (p.splits > 1) sumParts(partials, c, batches * rows * columns, p.splits);
}
