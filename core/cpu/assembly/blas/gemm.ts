/** Products by the system's BLAS, which every thread calls by itself, on tiles that stay in its own cache. The tiles
 * are the same on any number of threads, and so are the results.
 */

/** C [rows, columns] = A · B, or C + A · B if `add`; row-major, A or B lying transposed if told so. The strides lead
 * from one row to the next, in floats. The host imports it into every thread; it may be called only where it found a
 * BLAS.
 */
@external("env", "gemm")
export declare function gemm(
  transposeA: i32,
  transposeB: i32,
  rows: i32,
  columns: i32,
  depth: i32,
  a: usize,
  strideA: i32,
  b: usize,
  strideB: i32,
  add: i32,
  c: usize,
  strideC: i32,
): void;

/** Offset of a tile in a thread's scratch memory. */
export const TILE: usize = 1 << 16;
/** Most rows of a tile. */
export const TILE_ROWS: i32 = 256;
/** Most floats of a tile, half a MiB. */
const TILE_FLOATS: i32 = 1 << 17;

/** Length of the parts, at most `most`, into which a length is cut evenly; the last may be shorter. */
export function evenStep(length: i32, most: i32): i32 {
  const parts = (length + most - 1) / most;
  return (length + parts - 1) / parts;
}

/** Rows of a tile, of so many floats each. */
export function rowsOfTile(floats: i32): i32 {
  return min(TILE_ROWS, TILE_FLOATS / floats);
}
