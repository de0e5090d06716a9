/** Elementwise operations: each output element is a function of the elements of up to three broadcast operands.
 *
 * A function is a class with one inlined method, so that every operation gets its own loops.
 */
import { job, parallel, scratch } from "./pool";
import { choose, constant } from "./math";

const CHUNK: i32 = 8192;
/** The offset in the job of the table of outer axes: each axis has its length and the steps of a, b and c in bytes. */
const AXES: usize = 64;

/** What the host writes to `job`. */
@unmanaged
class Elementwise {
  count: i32;
  inner: i32; // length of the innermost axis
  axes: i32; // the number of outer axes, the innermost first in the table
  out: usize;
  a: usize;
  b: usize;
  c: usize;
  stepA: i32; // along the innermost axis: 0 or 1
  stepB: i32;
  stepC: i32;
  p: f32;
  q: f32;
}

/** Stores the first `count` of four lanes. */
export function storeLanes(to: usize, value: v128, count: i32): void {
  v128.store32_lane(to, value, 0);
  if (count > 1) v128.store32_lane(to, value, 1, 4);
  if (count > 2) v128.store32_lane(to, value, 2, 8);
}

function chunks(): i32 {
  return (changetype<Elementwise>(job).count + CHUNK - 1) / CHUNK;
}

/** A chunk of out = f(a), where f has the parameters p and q. */
function unaryTask<F>(index: i32): void {
  const e = changetype<Elementwise>(job), f = changetype<F>(0);
  const count = min(CHUNK, e.count - index * CHUNK), p = constant(e.p), q = constant(e.q);
  let a = e.a + (<usize> (index * CHUNK) << 2), out = e.out + (<usize> (index * CHUNK) << 2);
  const end = out + (<usize> (count & ~3) << 2);
  for (; out < end; out += 16, a += 16) v128.store(out, f.apply(v128.load(a), p, q));
  if (count & 3) storeLanes(out, f.apply(v128.load(a), p, q), count & 3);
}

/** out = f(a), as described in `job`. */
export function mapUnary<F>(): void {
  parallel((index) => unaryTask<F>(index), chunks());
}

/** The addresses of the operands for an element of the output. */
let atA: usize = 0;
let atB: usize = 0;
let atC: usize = 0;

/** Moves the operands to the output's element `at`, and returns the length of the innermost run from there. */
function locate(at: i32, end: i32): i32 {
  const e = changetype<Elementwise>(job);
  let rest = at / e.inner;
  const within = at - rest * e.inner;
  atA = e.a + (<usize> (within * e.stepA) << 2);
  atB = e.b + (<usize> (within * e.stepB) << 2);
  atC = e.c + (<usize> (within * e.stepC) << 2);
  for (let axis = 0; axis < e.axes; axis++) {
    const entry = job + AXES + (<usize> axis << 4);
    const length = load<i32>(entry), next = rest / length;
    const place = <usize> (rest - next * length);
    atA += place * load<usize>(entry, 4);
    atB += place * load<usize>(entry, 8);
    atC += place * load<usize>(entry, 12);
    rest = next;
  }
  return min(e.inner - within, end - at);
}

/** The address an operand is loaded from. A constant operand is copied to four lanes of this thread's memory. */
function source(at: usize, step: i32, slot: usize): usize {
  if (step) return at;
  v128.store(scratch + slot, v128.load32_splat(at));
  return scratch + slot;
}

/** A chunk of out = f(a, b). */
function binaryTask<F>(index: i32): void {
  const e = changetype<Elementwise>(job), f = changetype<F>(0);
  const moveA = <usize> e.stepA << 4, moveB = <usize> e.stepB << 4;
  const last = min((index + 1) * CHUNK, e.count);
  for (let at = index * CHUNK; at < last;) {
    const count = locate(at, last);
    let a = source(atA, e.stepA, 0), b = source(atB, e.stepB, 16);
    let out = e.out + (<usize> at << 2);
    const end = out + (<usize> (count & ~3) << 2);
    for (; out < end; out += 16, a += moveA, b += moveB) {
      v128.store(out, f.apply(v128.load(a), v128.load(b)));
    }
    if (count & 3) storeLanes(out, f.apply(v128.load(a), v128.load(b)), count & 3);
    at += count;
  }
}

/** out = f(a, b), as described in `job`. */
export function mapBinary<F>(): void {
  parallel((index) => binaryTask<F>(index), chunks());
}

/** A chunk of out = b if the integer a is not 0, else c. */
function whereTask(index: i32): void {
  const e = changetype<Elementwise>(job);
  const moveA = <usize> e.stepA << 4, moveB = <usize> e.stepB << 4, moveC = <usize> e.stepC << 4;
  const last = min((index + 1) * CHUNK, e.count);
  for (let at = index * CHUNK; at < last;) {
    const count = locate(at, last);
    let a = source(atA, e.stepA, 0), b = source(atB, e.stepB, 16), c = source(atC, e.stepC, 32);
    let out = e.out + (<usize> at << 2);
    for (let left = count; left > 0; left -= 4, out += 16, a += moveA, b += moveB, c += moveC) {
      const no = i32x4.eq(v128.load(a), i32x4.splat(0));
      const chosen = choose(no, v128.load(c), v128.load(b));
      if (left >= 4) v128.store(out, chosen);
      else storeLanes(out, chosen, left);
    }
    at += count;
  }
}

export function mapWhere(): void {
  parallel(whereTask, chunks());
}
