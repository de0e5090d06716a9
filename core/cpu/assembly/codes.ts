/** Rows by index, and sums and counts by segment. */
import { job, parallel } from "./pool";

/** Words that are worth a task. */
const CHUNK: i32 = 16384;
/** Columns of a segment sum that a task takes. */
const COLUMNS: i32 = 16;

/** What the host writes to `job`. */
@unmanaged
class Rows {
  values: usize; // [rows, width]: the table, or what is summed
  indices: usize;
  out: usize;
  sums: usize; // float64 [segments, width rounded up to COLUMNS]
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
    if (row < <u32> r.rows) memory.copy(to, r.values + <usize> row * bytes, bytes);
    else memory.fill(to, 0, bytes);
  }
}

/** out[i] = values[indices[i]]; zeros where the index is out of range. */
export function gather(): void {
  const r = changetype<Rows>(job), each = max(1, CHUNK / r.width);
  parallel(gatherTask, (r.count + each - 1) / each);
}

/** Sums some columns of all rows, in order, in float64. */
function sumTask(index: i32): void {
  const r = changetype<Rows>(job);
  const column = index * COLUMNS, columns = min(COLUMNS, r.width - column);
  const sums = r.sums + (<usize> (index * r.rows * COLUMNS) << 3);
  memory.fill(sums, 0, <usize> (r.rows * COLUMNS) << 3);
  for (let i = 0; i < r.count; i++) {
    const segment = load<u32>(r.indices + (<usize> i << 2));
    if (segment >= <u32> r.rows) continue;
    let from = r.values + (<usize> (i * r.width + column) << 2);
    let to = sums + (<usize> (segment * COLUMNS) << 3);
    for (let c = 0; c < columns; c += 2, from += 8, to += 16) {
      const pair = f64x2.promote_low_f32x4(v128.load64_zero(from));
      v128.store(to, f64x2.add(v128.load(to), pair));
    }
  }
  for (let segment = 0; segment < r.rows; segment++) {
    const to = r.out + (<usize> (segment * r.width + column) << 2);
    const from = sums + (<usize> (segment * COLUMNS) << 3);
    for (let c: usize = 0; c < <usize> columns; c++) {
      store<f32>(to + (c << 2), <f32> load<f64>(from + (c << 3)));
    }
  }
}

/** out[s] = Σ values[i] over the i with indices[i] = s. */
export function segmentSum(): void {
  const r = changetype<Rows>(job);
  parallel(sumTask, (r.width + COLUMNS - 1) / COLUMNS);
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
