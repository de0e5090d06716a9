/** Average pooling of [batch, height, width, channels], and its adjoint. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";

/** What the host writes to `job`. */
@unmanaged
class Pooling {
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
}

/** Writes to `to` the sum of pixels [top, bottom) × [left, right) divided by the window's size. The map begins at `from`
 * and has `width` columns. */
function average(
  p: Pooling,
  to: usize,
  from: usize,
  width: i32,
  top: i32,
  bottom: i32,
  left: i32,
  right: i32,
): void {
  const scale = constant(1 / <f32> (p.sizeY * p.sizeX));
  for (let c = 0; c < p.channels; c += 4) {
    let sum = constant(0);
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const at = (y * width + x) * p.channels + c;
        sum = f32x4.add(sum, v128.load(from + (<usize> at << 2)));
      }
    }
    const mean = f32x4.mul(sum, scale);
    if (p.channels - c >= 4) v128.store(to + (<usize> c << 2), mean);
    else storeLanes(to + (<usize> c << 2), mean, p.channels - c);
  }
}

/** A row of the pooled maps. */
function poolTask(index: i32): void {
  const p = changetype<Pooling>(job);
  const image = index / p.rows, row = index - image * p.rows;
  const from = p.images + (<usize> (image * p.height * p.width * p.channels) << 2);
  const y = row * p.strideY - p.paddingY;
  for (let column = 0; column < p.columns; column++) {
    const x = column * p.strideX - p.paddingX;
    const to = p.pooled + (<usize> ((index * p.columns + column) * p.channels) << 2);
    const bottom = min(y + p.sizeY, p.height), right = min(x + p.sizeX, p.width);
    average(p, to, from, p.width, max(y, 0), bottom, max(x, 0), right);
  }
}

/** The first window that contains position `at` (padding included), and the one after the last. */
@inline
export function firstWindow(at: i32, size: i32, stride: i32): i32 {
  return max(0, (at - size) / stride + (at < size ? 0 : 1));
}

@inline
export function endWindow(at: i32, stride: i32, count: i32): i32 {
  return min(at / stride + 1, count);
}

/** A row of the images: each pixel gets its share of the windows that contain it. */
function shareTask(index: i32): void {
  const p = changetype<Pooling>(job);
  const image = index / p.height, y = index - image * p.height + p.paddingY;
  const from = p.pooled + (<usize> (image * p.rows * p.columns * p.channels) << 2);
  const top = firstWindow(y, p.sizeY, p.strideY), bottom = endWindow(y, p.strideY, p.rows);
  for (let column = 0; column < p.width; column++) {
    const x = column + p.paddingX;
    const to = p.images + (<usize> ((index * p.width + column) * p.channels) << 2);
    const left = firstWindow(x, p.sizeX, p.strideX), right = endWindow(x, p.strideX, p.columns);
    average(p, to, from, p.columns, top, bottom, left, right);
  }
}

/** Pools images. */
export function averagePool(): void {
  const p = changetype<Pooling>(job);
  parallel(poolTask, p.batch * p.rows);
}

/** The gradient of the images, from that of the pooled maps. */
export function averagePoolGradient(): void {
  const p = changetype<Pooling>(job);
  parallel(shareTask, p.batch * p.height);
}
