/** Adds up the parts of a sum. */
import { job, parallel } from "./pool";

const BLOCK: i32 = 4096;

@unmanaged
class Parts {
  from: usize;
  to: usize;
  size: i32;
  count: i32;
}

function sumTask(index: i32): void {
  const p = changetype<Parts>(job);
  const first = index * BLOCK, left = min(BLOCK, p.size - first);
  const step = <usize> p.size << 2;
  let from = p.from + (<usize> first << 2), to = p.to + (<usize> first << 2), i = 0;
  for (; i + 4 <= left; i += 4, from += 16, to += 16) {
    let sum = v128.load(from), part = from;
    for (let k = 1; k < p.count; k++) sum = f32x4.add(sum, v128.load(part += step));
    v128.store(to, sum);
  }
  for (; i < left; i++, from += 4, to += 4) {
    let sum = load<f32>(from), part = from;
    for (let k = 1; k < p.count; k++) sum += load<f32>(part += step);
    store<f32>(to, sum);
  }
}

/** to = the sum of `count` consecutive arrays of `size` floats, in order. */
export function sumParts(from: usize, to: usize, size: i32, count: i32): void {
  const p = changetype<Parts>(job);
  p.from = from;
  p.to = to;
  p.size = size;
  p.count = count;
  parallel(sumTask, (size + BLOCK - 1) / BLOCK);
}
