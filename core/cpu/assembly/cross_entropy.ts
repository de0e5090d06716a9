/** The cross-entropy of rows [rows, classes], and its gradient. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";
import { greatestOf, sumOfPowers } from "./reductions";

/** The approximate number of elements in a task. */
const CHUNK: i32 = 8192;

/** What the host writes to `job`. */
@unmanaged
class CrossEntropy {
  logits: usize;
  targets: usize;
  gradient: usize; // of the losses, for the gradient
  out: usize;
  rows: i32;
  classes: i32;
  smoothing: f32;
}

/** Σ (x − m), in float64, because rows are long. */
function sumOfDifferences(x: usize, count: i32, m: f32): f64 {
  let total: f64 = 0;
  for (let left = count; left > 0; left--, x += 4) total += <f64> (load<f32>(x) - m);
  return total;
}

/** With z = x − max x: ln Σ exp z − (1 − smoothing)·z[target] − smoothing·mean z. */
function lossOf(row: i32): f32 {
  const c = changetype<CrossEntropy>(job);
  const target = load<i32>(c.targets + (<usize> row << 2)), classes = c.classes;
  if (target < 0) return 0;
  if (target >= classes) return NaN;
  const x = c.logits + (<usize> row * <usize> classes << 2), m = greatestOf(x, classes, 4);
  const smoothing = <f64> c.smoothing;
  let loss = Math.log(sumOfPowers(x, 0, classes, 4, m));
  if (smoothing < 1) loss -= (1 - smoothing) * <f64> (load<f32>(x + (<usize> target << 2)) - m);
  if (smoothing > 0) loss -= smoothing * sumOfDifferences(x, classes, m) / <f64> classes;
  return <f32> loss;
}

/** Fills a row of the gradient with a value. */
function fillRow(to: usize, count: i32, value: f32): void {
  let left = count;
  for (; left >= 4; left -= 4, to += 16) v128.store(to, constant(value));
  if (left) storeLanes(to, constant(value), left);
}

/** g·(exp z / Σ exp z − smoothing/V − (1 − smoothing)·[v = target]) over a row. */
function gradientRow(row: i32): void {
  const c = changetype<CrossEntropy>(job);
  const target = load<i32>(c.targets + (<usize> row << 2)), classes = c.classes;
  const offset = <usize> row * <usize> classes << 2;
  let out = c.out + offset;
  if (target < 0 || target >= classes) return fillRow(out, classes, target < 0 ? 0 : NaN);
  const x = c.logits + offset, m = greatestOf(x, classes, 4);
  const scale = <f32> (1 / sumOfPowers(x, out, classes, 4, m));
  const g = load<f32>(c.gradient + (<usize> row << 2)), share = c.smoothing / <f32> classes;
  const own = out + (<usize> target << 2);
  const slope = (load<f32>(own) * scale - share - (1 - c.smoothing)) * g;
  let left = classes;
  for (; left >= 4; left -= 4, out += 16) {
    const shares = f32x4.sub(f32x4.mul(v128.load(out), constant(scale)), constant(share));
    v128.store(out, f32x4.mul(shares, constant(g)));
  }
  for (; left > 0; left--, out += 4) store<f32>(out, (load<f32>(out) * scale - share) * g);
  store<f32>(own, slope);
}

function rowsPerTask(c: CrossEntropy): i32 {
  return max(1, CHUNK / c.classes);
}

function lastRow(c: CrossEntropy, index: i32): i32 {
  return min((index + 1) * rowsPerTask(c), c.rows);
}

function tasks(): i32 {
  const c = changetype<CrossEntropy>(job), each = rowsPerTask(c);
  return (c.rows + each - 1) / each;
}

export function crossEntropy(): void {
  parallel((index) => {
    const c = changetype<CrossEntropy>(job), last = lastRow(c, index);
    for (let row = index * rowsPerTask(c); row < last; row++) {
      store<f32>(c.out + (<usize> row << 2), lossOf(row));
    }
  }, tasks());
}

export function crossEntropyGradient(): void {
  parallel((index) => {
    const c = changetype<CrossEntropy>(job), last = lastRow(c, index);
    for (let row = index * rowsPerTask(c); row < last; row++) gradientRow(row);
  }, tasks());
}
