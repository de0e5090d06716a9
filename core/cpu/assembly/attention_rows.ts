/** Operations on rows and panels that all kernels of attention share. */
import { COLUMNS, ROWS } from "./gemm";
import { constant } from "./math";
import { interleave6, interleave8, take8 } from "./pack";
import { scratch } from "./pool";

/** The logit of keys that are not seen, before the largest is known. */
export const LOWEST: f32 = -3.4028234663852886e38;

/** Writes the addresses of `count` rows, `stride` bytes apart. */
export function listRows(table: usize, from: usize, stride: usize, count: i32): void {
  for (let i = 0; i < count; i++) store<u32>(table + (i << 2), <u32> (from + <usize> i * stride));
}

/** Packs `height` rows of `length` floats into panels of six. */
export function packRows(to: usize, from: usize, stride: usize, height: i32, length: i32): void {
  for (let i = 0; i < height; i += ROWS) {
    for (let j = 0; j < ROWS; j++) {
      const row = from + <usize> min(i + j, height - 1) * stride;
      store<u32>(scratch + (j << 2), <u32> row);
    }
    interleave6(to, scratch, 0, length);
    to += <usize> (length * ROWS) << 2;
  }
}

/** Packs `count` rows of `length` floats as columns, into panels of eight. */
export function packColumns(to: usize, from: usize, stride: usize, count: i32, length: i32): void {
  for (let j = 0; j < count; j += COLUMNS) {
    interleave8(to, from + <usize> j * stride, stride, min(count - j, COLUMNS), length);
    to += <usize> (length * COLUMNS) << 2;
  }
}

/** Packs `count` rows of `width` floats, not transposed, into panels of eight columns. */
export function packWeighed(to: usize, from: usize, stride: usize, count: i32, width: i32): void {
  for (let d = 0; d < width; d += COLUMNS) {
    take8(to, from + (<usize> d << 2), stride, count);
    to += <usize> (count * COLUMNS) << 2;
  }
}

@inline
export function lanesBelow(first: i32, limit: i32): v128 {
  return i32x4.lt_s(i32x4.add(i32x4(0, 1, 2, 3), i32x4.splat(first)), i32x4.splat(limit));
}

@inline
export function greatestLane(x: v128): f32 {
  const pair = f32x4.max(x, v128.shuffle<i64>(x, x, 1, 1));
  return max<f32>(f32x4.extract_lane(pair, 0), f32x4.extract_lane(pair, 1));
}

@inline
export function sumLanes(x: v128): f32 {
  const pair = f32x4.add(x, v128.shuffle<i64>(x, x, 1, 1));
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1);
}

export function scaleRow(row: usize, width: i32, factor: f32): void {
  const f = constant(factor);
  let left = width;
  for (; left >= 4; left -= 4, row += 16) v128.store(row, f32x4.mul(v128.load(row), f));
  for (; left > 0; left--, row += 4) store<f32>(row, load<f32>(row) * factor);
}

