/** Max pooling of [batch, height, width, channels], and its adjoint. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";
import { endWindow, firstWindow } from "./pooling";

/** What the host writes to `job`. */
@unmanaged
class MaxPooling {
  images: usize; // [batch, height, width, channels]
  pooled: usize; // [batch, rows, columns, channels]
  batch: i32;
  height: i32;
  width: i32;
  channels: i32;
  rows: i32;
  columns: i32;
  sizeY: i32;
  sizeX: i32;
  strideY: i32;
  strideX: i32;
  paddingY: i32;
  paddingX: i32;
  gradient: usize; // like pooled
  shares: usize; // like images
}

@inline
function store(to: usize, value: v128, count: i32): void {
  if (count >= 4) v128.store(to, value);
  else storeLanes(to, value, count);
}

/** A row of the pooled maps. */
function maxTask(index: i32): void {
  const p = changetype<MaxPooling>(job);
  const image = index / p.rows, row = index - image * p.rows;
  const from = p.images + (<usize> (image * p.height * p.width * p.channels) << 2);
  const top = row * p.strideY - p.paddingY, bottom = min(top + p.sizeY, p.height);
  for (let column = 0; column < p.columns; column++) {
    const left = column * p.strideX - p.paddingX, right = min(left + p.sizeX, p.width);
    const to = p.pooled + (<usize> ((index * p.columns + column) * p.channels) << 2);
    for (let c = 0; c < p.channels; c += 4) {
      let greatest = constant(-Infinity);
      for (let y = max(top, 0); y < bottom; y++) {
        for (let x = max(left, 0); x < right; x++) {
          const at = (y * p.width + x) * p.channels + c;
          greatest = f32x4.max(greatest, v128.load(from + (<usize> at << 2)));
        }
      }
      store(to + (<usize> c << 2), greatest, p.channels - c);
    }
  }
}

/** The lanes in which pixel (y, x) is the first maximum of a window, given the lanes in which it is a maximum: those in
 * which no earlier pixel of the window has the same value. */
@inline
function first(
  p: MaxPooling,
  from: usize,
  greatest: v128,
  equal: v128,
  top: i32,
  left: i32,
  right: i32,
  y: i32,
  x: i32,
): v128 {
  let lanes = equal;
  for (let row = top; row <= y && v128.any_true(lanes); row++) {
    const end = row < y ? right : x;
    for (let column = left; column < end; column++) {
      const before = v128.load(from + (<usize> ((row * p.width + column) * p.channels) << 2));
      lanes = v128.andnot(lanes, f32x4.eq(before, greatest));
    }
  }
  return lanes;
}

/** A row of the images: each pixel gets the gradients of the windows of which it is the first maximum. */
function shareTask(index: i32): void {
  const p = changetype<MaxPooling>(job);
  const image = index / p.height, y = index - image * p.height;
  const from = p.images + (<usize> (image * p.height * p.width * p.channels) << 2);
  const firstRow = firstWindow(y + p.paddingY, p.sizeY, p.strideY);
  const endRow = endWindow(y + p.paddingY, p.strideY, p.rows);
  for (let x = 0; x < p.width; x++) {
    const firstColumn = firstWindow(x + p.paddingX, p.sizeX, p.strideX);
    const endColumn = endWindow(x + p.paddingX, p.strideX, p.columns);
    const own = (y * p.width + x) * p.channels;
    const to = p.shares + (<usize> ((index * p.width + x) * p.channels) << 2);
    for (let c = 0; c < p.channels; c += 4) {
      const value = v128.load(from + (<usize> (own + c) << 2));
      let sum = constant(0);
      for (let row = firstRow; row < endRow; row++) {
        const top = row * p.strideY - p.paddingY;
        for (let column = firstColumn; column < endColumn; column++) {
          const left = column * p.strideX - p.paddingX, right = min(left + p.sizeX, p.width);
          const window = (image * p.rows + row) * p.columns + column;
          const at = <usize> (window * p.channels + c) << 2;
          const greatest = v128.load(p.pooled + at);
          const equal = f32x4.eq(value, greatest);
          const lanes = first(
            p, from + (<usize> c << 2), greatest, equal, max(top, 0), max(left, 0), right, y, x,
          );
          sum = f32x4.add(sum, v128.and(v128.load(p.gradient + at), lanes));
        }
      }
      store(to + (<usize> c << 2), sum, p.channels - c);
    }
  }
}

/** Pools images. */
export function maxPool(): void {
  const p = changetype<MaxPooling>(job);
  parallel(maxTask, p.batch * p.rows);
}

/** The gradient of the images, from that of the pooled maps. */
export function maxPoolGradient(): void {
  const p = changetype<MaxPooling>(job);
  parallel(shareTask, p.batch * p.height);
}
