/** Reductions over the middle axis of [outer, count, inner].
 *
 * Sums and maxima split the middle axis into parts of a fixed length, reduce each part, and then reduce the parts in
 * order. So one long line keeps all threads busy, and the result is the same for any number of threads.
 */
import { job, parallel, scratch } from "./pool";
import { choose, constant, decay, log } from "./math";
import { storeLanes } from "./elementwise";

/** The number of elements in a part: its length along the middle axis times that of the inner axis. */
const PART: i32 = 16384;
/** The approximate number of elements in a task. */
const CHUNK: i32 = 8192;

/** What the host writes to `job`. */
@unmanaged
class Reduction {
  x: usize;
  out: usize;
  partials: usize; // [outer, parts, inner], if there is more than one part
  outer: i32;
  count: i32;
  inner: i32;
  rank: i32; // of kthValue
}

/** The length of a part along the middle axis. */
function partLength(r: Reduction): i32 {
  return max(1, PART / r.inner);
}

/** The number of parts of the middle axis. */
export function reductionParts(): i32 {
  const r = changetype<Reduction>(job);
  return (r.count + partLength(r) - 1) / partLength(r);
}

// ---- sum and max ---------------------------------------------------------------------------------------------

@unmanaged
class Sum {
  @inline
  start(): f32 {
    return 0;
  }
  @inline
  join(a: v128, b: v128): v128 {
    return f32x4.add(a, b);
  }
  @inline
  joinOne(a: f32, b: f32): f32 {
    return a + b;
  }
}

@unmanaged
class Max {
  @inline
  start(): f32 {
    return -Infinity;
  }
  @inline
  join(a: v128, b: v128): v128 {
    return f32x4.max(a, b);
  }
  @inline
  joinOne(a: f32, b: f32): f32 {
    return max<f32>(a, b);
  }
}

/** Reduces `count` contiguous floats. */
function reduceRun<F>(x: usize, count: i32): f32 {
  const f = changetype<F>(0);
  const start = constant(f.start());
  let a = start, b = start, c = start, d = start;
  let left = count;
  for (; left >= 16; left -= 16, x += 64) {
    a = f.join(a, v128.load(x));
    b = f.join(b, v128.load(x, 16));
    c = f.join(c, v128.load(x, 32));
    d = f.join(d, v128.load(x, 48));
  }
  a = f.join(f.join(a, b), f.join(c, d));
  let result = f.joinOne(
    f.joinOne(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1)),
    f.joinOne(f32x4.extract_lane(a, 2), f32x4.extract_lane(a, 3)),
  );
  for (; left > 0; left--, x += 4) result = f.joinOne(result, load<f32>(x));
  return result;
}

/** Reduces `count` rows, `stride` bytes apart, to one, element by element: `length` floats. */
function reduceRows<F>(x: usize, out: usize, count: i32, stride: usize, length: i32): void {
  const f = changetype<F>(0);
  for (let i = 0; i < length; i += 16) {
    const lanes = min(16, length - i);
    let from = x + (<usize> i << 2);
    const to = out + (<usize> i << 2);
    if (lanes == 16) {
      let a = constant(f.start()), b = a, c = a, d = a;
      for (let k = 0; k < count; k++, from += stride) {
        a = f.join(a, v128.load(from));
        b = f.join(b, v128.load(from, 16));
        c = f.join(c, v128.load(from, 32));
        d = f.join(d, v128.load(from, 48));
      }
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to, c, 32);
      v128.store(to, d, 48);
    } else {
      for (let j = 0; j < lanes; j += 4) {
        let a = constant(f.start());
        let at = from + (<usize> j << 2);
        for (let k = 0; k < count; k++, at += stride) a = f.join(a, v128.load(at));
        if (lanes - j >= 4) v128.store(to + (<usize> j << 2), a);
        else storeLanes(to + (<usize> j << 2), a, lanes - j);
      }
    }
  }
}

/** Reduces `count` rows of `inner` floats from `x` to one at `out`. */
function reduce<F>(x: usize, out: usize, count: i32, inner: i32): void {
  if (inner == 1) store<f32>(out, reduceRun<F>(x, count));
  else reduceRows<F>(x, out, count, <usize> inner << 2, inner);
}

/** The number of parts in a task, so that it has enough work. */
function partsPerTask(r: Reduction): i32 {
  return max(1, CHUNK / (min(partLength(r), r.count) * r.inner));
}

function partTask<F>(index: i32): void {
  const r = changetype<Reduction>(job);
  const parts = reductionParts(), each = partsPerTask(r), length = partLength(r);
  const last = min((index + 1) * each, r.outer * parts);
  const target = parts == 1 ? r.out : r.partials;
  for (let at = index * each; at < last; at++) {
    const outer = at / parts, first = (at - outer * parts) * length;
    const from = r.x + (<usize> ((outer * r.count + first) * r.inner) << 2);
    const to = target + (<usize> (at * r.inner) << 2);
    reduce<F>(from, to, min(length, r.count - first), r.inner);
  }
}

function joinTask<F>(outer: i32): void {
  const r = changetype<Reduction>(job);
  const parts = reductionParts();
  const from = r.partials + (<usize> (outer * parts * r.inner) << 2);
  reduce<F>(from, r.out + (<usize> (outer * r.inner) << 2), parts, r.inner);
}

function reduceAll<F>(): void {
  const r = changetype<Reduction>(job);
  const parts = reductionParts(), each = partsPerTask(r);
  parallel((index) => partTask<F>(index), (r.outer * parts + each - 1) / each);
  if (parts > 1) parallel((outer) => joinTask<F>(outer), r.outer);
}

export function sum(): void {
  reduceAll<Sum>();
}

export function maximum(): void {
  reduceAll<Max>();
}

// ---- line by line --------------------------------------------------------------------------------------------

/** The index-th line along the middle axis: the offset of its first element. */
function lineAddress(index: i32): usize {
  const r = changetype<Reduction>(job);
  const outer = index / r.inner;
  return r.x + (<usize> (outer * r.count * r.inner + index - outer * r.inner) << 2);
}

function linesPerTask(r: Reduction): i32 {
  return max(1, CHUNK / r.count);
}

/** Runs `visit` on every line, several per task. */
function eachLine<F>(index: i32): void {
  const f = changetype<F>(0), r = changetype<Reduction>(job);
  const each = linesPerTask(r), last = min((index + 1) * each, r.outer * r.inner);
  for (let line = index * each; line < last; line++) f.visit(lineAddress(line), line);
}

function lines<F>(): void {
  const r = changetype<Reduction>(job), each = linesPerTask(r);
  parallel((index) => eachLine<F>(index), (r.outer * r.inner + each - 1) / each);
}

/** The most lines side by side that are reduced together, so that whole cache lines are read. */
const SIDE: i32 = 64;

/** As `linesPerTask`, but a multiple of `SIDE`. */
function sideLinesPerTask(r: Reduction): i32 {
  return (linesPerTask(r) + SIDE - 1) / SIDE * SIDE;
}

/** As `eachLine`, with `visitSide` where at least four lines are side by side. */
function eachSide<F>(index: i32): void {
  const f = changetype<F>(0), r = changetype<Reduction>(job);
  const each = sideLinesPerTask(r), last = min((index + 1) * each, r.outer * r.inner);
  for (let line = index * each; line < last;) {
    const side = min(min(last - line, r.inner - line % r.inner), SIDE) & ~3;
    if (side > 0) {
      f.visitSide(lineAddress(line), line, side);
      line += side;
    } else {
      f.visit(lineAddress(line), line);
      line++;
    }
  }
}

/** As `lines`, with lines side by side taken together. */
function sides<F>(): void {
  const r = changetype<Reduction>(job);
  if (r.inner < 4) return lines<F>();
  const each = sideLinesPerTask(r);
  parallel((index) => eachSide<F>(index), (r.outer * r.inner + each - 1) / each);
}

/** The lowest index of the maximum. NaN never wins; if all are NaN, the result is 0. */
@unmanaged
class Argmax {
  @inline
  visit(x: usize, line: i32): void {
    const r = changetype<Reduction>(job);
    const stride = <usize> r.inner << 2;
    let best = -1;
    let greatest: f32 = 0;
    for (let c = 0; c < r.count; c++, x += stride) {
      const value = load<f32>(x);
      if (value == value && (best < 0 || value > greatest)) {
        best = c;
        greatest = value;
      }
    }
    store<i32>(r.out + (<usize> line << 2), max(best, 0));
  }
}

export function argmax(): void {
  lines<Argmax>();
}

/** The maximum of `count` floats, `stride` bytes apart; NaN if any is NaN. */
export function greatestOf(x: usize, count: i32, stride: usize): f32 {
  if (stride == 4) return reduceRun<Max>(x, count);
  let greatest: f32 = -Infinity;
  for (let c = 0; c < count; c++, x += stride) greatest = max<f32>(greatest, load<f32>(x));
  return greatest;
}

function expOne(x: f32): f32 {
  return f32x4.extract_lane(decay(constant(x)), 0);
}

/** Σ exp(x − m), and the terms at `out` unless it is 0. Summed in float64, because lines are long. */
export function sumOfPowers(x: usize, out: usize, count: i32, stride: usize, m: f32): f64 {
  let left = count, low = f64x2.splat(0), high = low;
  if (stride == 4) {
    for (; left >= 4; left -= 4, x += 16) {
      const powers = decay(f32x4.sub(v128.load(x), constant(m)));
      if (out) {
        v128.store(out, powers);
        out += 16;
      }
      low = f64x2.add(low, f64x2.promote_low_f32x4(powers));
      high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<i64>(powers, powers, 1, 1)));
    }
  }
  const pair = f64x2.add(low, high);
  let total = f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
  for (; left > 0; left--, x += stride) {
    const power = expOne(load<f32>(x) - m);
    if (out) {
      store<f32>(out, power);
      out += stride;
    }
    total += <f64> power;
  }
  return total;
}

/** Where `scratch` holds the sums of lines side by side, after their maxima. */
const SUMS: usize = <usize> SIDE * 4;

/** Writes the maxima of `side` lines side by side to `scratch`, and their Σ exp(x − m), in float64, to `scratch + SUMS`.
 * The terms go to `out` unless it is 0. */
function sumPowersOfSide(x: usize, out: usize, count: i32, stride: usize, side: i32): void {
  reduceRows<Max>(x, scratch, count, stride, side);
  memory.fill(scratch + SUMS, 0, <usize> side << 3);
  for (let c = 0; c < count; c++, x += stride) {
    for (let j = 0; j < side; j += 4) {
      const at = <usize> j << 2, sums = scratch + SUMS + (<usize> j << 3);
      const powers = decay(f32x4.sub(v128.load(x + at), v128.load(scratch + at)));
      if (out) v128.store(out + at, powers);
      const high = v128.shuffle<i64>(powers, powers, 1, 1);
      v128.store(sums, f64x2.add(v128.load(sums), f64x2.promote_low_f32x4(powers)));
      v128.store(sums, f64x2.add(v128.load(sums, 16), f64x2.promote_low_f32x4(high)), 16);
    }
    if (out) out += stride;
  }
}

/** Four float64 at `x` as floats. */
function fourFloats(x: usize): v128 {
  const low = f32x4.demote_f64x2_zero(v128.load(x));
  const high = f32x4.demote_f64x2_zero(v128.load(x, 16));
  return v128.shuffle<i64>(low, high, 0, 2);
}

/** m + ln Σ exp(x − m), where m is the maximum. If m is infinite, it is the result. */
@unmanaged
class Logsumexp {
  @inline
  visit(x: usize, line: i32): void {
    const r = changetype<Reduction>(job);
    const stride = <usize> r.inner << 2, m = greatestOf(x, r.count, stride);
    const finite = m - m == 0;
    const result = finite ? m + logOne(<f32> sumOfPowers(x, 0, r.count, stride, m)) : m;
    store<f32>(r.out + (<usize> line << 2), result);
  }
  @inline
  visitSide(x: usize, line: i32, side: i32): void {
    const r = changetype<Reduction>(job);
    sumPowersOfSide(x, 0, r.count, <usize> r.inner << 2, side);
    for (let j = 0; j < side; j += 4) {
      const m = v128.load(scratch + (<usize> j << 2));
      const finite = f32x4.eq(f32x4.sub(m, m), constant(0));
      const results = f32x4.add(m, log(fourFloats(scratch + SUMS + (<usize> j << 3))));
      v128.store(r.out + (<usize> (line + j) << 2), choose(finite, results, m));
    }
  }
}

function logOne(x: f32): f32 {
  return f32x4.extract_lane(log(constant(x)), 0);
}

export function logsumexp(): void {
  sides<Logsumexp>();
}

/** exp(x − m) / Σ exp(x − m), where m is the maximum. */
@unmanaged
class Softmax {
  @inline
  visit(x: usize, _line: i32): void {
    const r = changetype<Reduction>(job);
    const stride = <usize> r.inner << 2, m = greatestOf(x, r.count, stride);
    let out = r.out + (x - r.x), left = r.count;
    const scale = <f32> (1 / sumOfPowers(x, out, r.count, stride, m));
    if (stride == 4) {
      for (; left >= 4; left -= 4, out += 16) {
        v128.store(out, f32x4.mul(v128.load(out), constant(scale)));
      }
    }
    for (; left > 0; left--, out += stride) store<f32>(out, load<f32>(out) * scale);
  }
  @inline
  visitSide(x: usize, _line: i32, side: i32): void {
    const r = changetype<Reduction>(job), stride = <usize> r.inner << 2;
    let out = r.out + (x - r.x);
    sumPowersOfSide(x, out, r.count, stride, side);
    for (let j = 0; j < side; j++) {
      const scale = <f32> (1 / load<f64>(scratch + SUMS + (<usize> j << 3)));
      store<f32>(scratch + (<usize> j << 2), scale);
    }
    for (let c = 0; c < r.count; c++, out += stride) {
      for (let at: usize = 0; at < <usize> side << 2; at += 16) {
        v128.store(out + at, f32x4.mul(v128.load(out + at), v128.load(scratch + at)));
      }
    }
  }
}

export function softmax(): void {
  sides<Softmax>();
}

/** Maps a float to an unsigned integer with the same order: −0 before 0, NaN last. */
@inline
function orderOf(x: f32): u32 {
  if (x != x) return 0xffffffff;
  const bits = reinterpret<u32>(x);
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

/** The inverse of `orderOf`. */
function floatAt(order: u32): f32 {
  if (order == 0xffffffff) return NaN;
  return reinterpret<f32>(order >> 31 ? order & 0x7fffffff : ~order);
}

/** The element of ascending rank `rank`, found byte by byte in the ordered integers. */
@unmanaged
class KthValue {
  @inline
  visit(x: usize, line: i32): void {
    const r = changetype<Reduction>(job);
    store<f32>(r.out + (<usize> line << 2), floatAt(kthOrder(x, r.count, r.inner, r.rank)));
  }
}

function kthOrder(x: usize, count: i32, inner: i32, rank: i32): u32 {
  const stride = <usize> inner << 2;
  let prefix: u32 = 0, known: u32 = 0;
  for (let shift = 24; shift >= 0; shift -= 8) {
    memory.fill(scratch, 0, 1024);
    let at = x;
    for (let c = 0; c < count; c++, at += stride) {
      const order = orderOf(load<f32>(at));
      if ((order & known) != prefix) continue;
      const cell = scratch + (<usize> ((order >> shift) & 255) << 2);
      store<i32>(cell, load<i32>(cell) + 1);
    }
    let byte: u32 = 0;
    for (;; byte++) {
      const found = load<i32>(scratch + (<usize> byte << 2));
      if (rank < found) break;
      rank -= found;
    }
    prefix |= byte << shift;
    known |= <u32> 255 << shift;
  }
  return prefix;
}

export function kthValue(): void {
  lines<KthValue>();
}
