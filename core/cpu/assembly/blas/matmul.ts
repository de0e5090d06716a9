/** Products of matrices by BLAS: C [batch, M, N] = A · B, either lying transposed. */
import { job, parallel } from "../pool";
import { gemm } from "./gemm";
import { sumParts } from "../parts";

const BLOCK_ROWS: i32 = 192;
const BLOCK_COLUMNS: i32 = 512;

@unmanaged
class Product {
  a: usize;
  b: usize;
  c: usize; // or the parts
  rows: i32;
  columns: i32;
  depth: i32;
  strideA: usize; // bytes from one matrix of A to the next, 0 if there is one
  strideB: usize;
  transposeA: i32;
  transposeB: i32;
  batches: i32;
  splits: i32; // into how many parts, summed afterwards, the reduction axis is cut
  splitDepth: i32;
}

function productTask(index: i32): void {
  const p = changetype<Product>(job);
  const columnBlocks = (p.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
  const rowBlocks = (p.rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  let rest = index;
  const column = (rest % columnBlocks) * BLOCK_COLUMNS;
  rest /= columnBlocks;
  const row = (rest % rowBlocks) * BLOCK_ROWS;
  rest /= rowBlocks;
  const first = (rest % p.splits) * p.splitDepth, batch = rest / p.splits;
  const part = rest % p.splits * p.batches + batch;
  const a = p.transposeA ? first * p.rows + row : row * p.depth + first;
  const b = p.transposeB ? column * p.depth + first : first * p.columns + column;
  gemm(
    p.transposeA,
    p.transposeB,
    min(BLOCK_ROWS, p.rows - row),
    min(BLOCK_COLUMNS, p.columns - column),
    min(p.splitDepth, p.depth - first),
    p.a + <usize> batch * p.strideA + (<usize> a << 2),
    p.transposeA ? p.rows : p.depth,
    p.b + <usize> batch * p.strideB + (<usize> b << 2),
    p.transposeB ? p.depth : p.columns,
    0,
    p.c + (<usize> ((part * p.rows + row) * p.columns + column) << 2),
    p.columns,
  );
}

/** C = A · B.
 * @param batchesA matrices in A, 1 or as many as `batches`; likewise `batchesB`
 * @param partials room for splits · batches · rows · columns floats, if splits > 1
 */
export function blasMatmul(
  a: usize,
  b: usize,
  c: usize,
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
  p.splitDepth = (depth + splits - 1) / splits;
  p.splits = (depth + p.splitDepth - 1) / p.splitDepth;
  p.a = a;
  p.b = b;
  p.c = p.splits == 1 ? c : partials;
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.strideA = batchesA == 1 ? 0 : (<usize> rows * depth) << 2;
  p.strideB = batchesB == 1 ? 0 : (<usize> depth * columns) << 2;
  p.transposeA = transposeA;
  p.transposeB = transposeB;
  p.batches = batches;
  const blocks = ((rows + BLOCK_ROWS - 1) / BLOCK_ROWS) *
    ((columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
  parallel(productTask, batches * p.splits * blocks);
  if (p.splits > 1) sumParts(partials, c, batches * rows * columns, p.splits);
}
