/** Rows by index, and sums and counts by segment. */
import { storeLanes } from "./elementwise";
import { PANELS_A } from "./gemm";
import { copyWords } from "./movement";
import { job, parallel, scratch } from "./pool";

/** The approximate number of words in a task. */
const CHUNK: i32 = 16384;
/** The number of columns and segments that a task sums; in float64 they fill half of a thread's scratch memory. */
const COLUMNS: i32 = 16;
const SEGMENTS: i32 = 8192;

/** What the host writes to `job`. */
@unmanaged
class Rows {
  values: usize; // [rows, width]: the table, or the rows to sum
  indices: usize;
  out: usize;
  rows: i32; // of the table, or segments
  width: i32;
  count: i32; // of indices
}

function gatherTask(index: i32): void {
  const r = changetype<Rows>(job);
  const each = max(1, CHUNK / r.width), last = min((index + 1) * each, r.count);
  const bytes = <usize> r.width << 2;
  for (let i = index * each; i < last; i++) {
    const row = load<u32>(r.indices + (<usize> i << 2));
    const to = r.out + <usize> i * bytes;
    if (row < <u32> r.rows) copyWords(to, r.values + <usize> row * bytes, r.width);
    else memory.fill(to, 0, bytes);
  }
}

/** out[i] = values[indices[i]]; zeros if the index is out of range. */
export function gather(): void {
  const r = changetype<Rows>(job), each = max(1, CHUNK / r.width);
  parallel(gatherTask, (r.count + each - 1) / each);
}

/** Adds four floats to the sums at `to`, in float64. */
@inline
function addFour(to: usize, x: v128): void {
  const high = v128.shuffle<i64>(x, x, 1, 1);
  v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(x)));
  v128.store(to, f64x2.add(v128.load(to, 16), f64x2.promote_low_f32x4(high)), 16);
}

/** Rounds four float64 sums to float32. */
@inline
function rounded(sums: usize): v128 {
  const low = f32x4.demote_f64x2_zero(v128.load(sums));
  return v128.shuffle<i64>(low, f32x4.demote_f64x2_zero(v128.load(sums, 16)), 0, 2);
}

/** Sums some columns of the rows of some segments, in order. */
function sumTask(index: i32): void {
  const r = changetype<Rows>(job), across = (r.width + COLUMNS - 1) / COLUMNS;
  const down = index / across, column = (index - down * across) * COLUMNS;
  const segment = down * SEGMENTS, segments = min(SEGMENTS, r.rows - segment);
  const columns = min(COLUMNS, r.width - column);
  const bytes = <usize> r.width << 2, sumBytes = <usize> ((columns + 3) >> 2) << 5; // of a segment
  const sums = scratch + PANELS_A, offset = <usize> column << 2;
  memory.fill(sums, 0, <usize> segments * sumBytes);
  for (let i = 0; i < r.count; i++) {
    const own = load<u32>(r.indices + (<usize> i << 2)) - segment;
    if (own >= <u32> segments) continue;
    let from = r.values + <usize> i * bytes + offset, to = sums + <usize> own * sumBytes;
    for (let left = columns; left > 0; left -= 4, from += 16, to += 32) {
      addFour(to, v128.load(from));
    }
  }
  for (let s = 0; s < segments; s++) {
    let from = sums + <usize> s * sumBytes, to = r.out + <usize> (segment + s) * bytes + offset;
    for (let left = columns; left > 0; left -= 4, from += 32, to += 16) {
      if (left >= 4) v128.store(to, rounded(from));
      else storeLanes(to, rounded(from), left);
    }
  }
}

/** out[s] = Σ values[i] over the i with indices[i] = s. */
export function segmentSum(): void {
  const r = changetype<Rows>(job);
  const across = (r.width + COLUMNS - 1) / COLUMNS, down = (r.rows + SEGMENTS - 1) / SEGMENTS;
  parallel(sumTask, across * down);
}

/** out[s] = how many i have indices[i] = s. */
export function segmentCount(): void {
  const r = changetype<Rows>(job);
  memory.fill(r.out, 0, <usize> r.rows << 2);
  for (let i = 0; i < r.count; i++) {
    const segment = load<u32>(r.indices + (<usize> i << 2));
    if (segment >= <u32> r.rows) continue;
    const to = r.out + (<usize> segment << 2);
    store<i32>(to, load<i32>(to) + 1);
  }
}
