/** Packs matrices into panels: for each step along the reduction axis, the panel's rows (or columns) are adjacent. The
 * contents of a panel beyond the matrix's edge are arbitrary, because those results are dropped. */

function low(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5);
}

function high(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7);
}

function lowPair(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 0, 2);
}

function highPair(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 1, 3);
}

/** Interleaves `depth` floats of six rows whose addresses are in `table`. */
export function interleave6(to: usize, table: usize, shift: usize, depth: i32): void {
  let p0: usize = load<u32>(table) + shift, p1: usize = load<u32>(table, 4) + shift;
  let p2: usize = load<u32>(table, 8) + shift, p3: usize = load<u32>(table, 12) + shift;
  let p4: usize = load<u32>(table, 16) + shift, p5: usize = load<u32>(table, 20) + shift;
  let k = depth;
  for (; k >= 4; k -= 4) {
    const a = v128.load(p0), b = v128.load(p1), c = v128.load(p2), d = v128.load(p3);
    const e = v128.load(p4), f = v128.load(p5);
    const ab = low(a, b), cd = low(c, d), ef = low(e, f);
    v128.store(to, lowPair(ab, cd));
    v128.store64_lane(to, ef, 0, 16);
    v128.store(to, highPair(ab, cd), 24);
    v128.store64_lane(to, ef, 1, 40);
    const gh = high(a, b), ij = high(c, d), kl = high(e, f);
    v128.store(to, lowPair(gh, ij), 48);
    v128.store64_lane(to, kl, 0, 64);
    v128.store(to, highPair(gh, ij), 72);
    v128.store64_lane(to, kl, 1, 88);
    p0 += 16;
    p1 += 16;
    p2 += 16;
    p3 += 16;
    p4 += 16;
    p5 += 16;
    to += 96;
  }
  for (; k > 0; k--) {
    store<f32>(to, load<f32>(p0));
    store<f32>(to, load<f32>(p1), 4);
    store<f32>(to, load<f32>(p2), 8);
    store<f32>(to, load<f32>(p3), 12);
    store<f32>(to, load<f32>(p4), 16);
    store<f32>(to, load<f32>(p5), 20);
    p0 += 4;
    p1 += 4;
    p2 += 4;
    p3 += 4;
    p4 += 4;
    p5 += 4;
    to += 24;
  }
}

/** Interleaves `depth` floats of four rows at a step of eight floats in the output: half of a panel of B. */
function interleave4(
  to: usize,
  p0: usize,
  p1: usize,
  p2: usize,
  p3: usize,
  depth: i32,
): void {
  let k = depth;
  for (; k >= 4; k -= 4) {
    const a = v128.load(p0), b = v128.load(p1), c = v128.load(p2), d = v128.load(p3);
    const ab = low(a, b), cd = low(c, d), ef = high(a, b), gh = high(c, d);
    v128.store(to, lowPair(ab, cd));
    v128.store(to, highPair(ab, cd), 32);
    v128.store(to, lowPair(ef, gh), 64);
    v128.store(to, highPair(ef, gh), 96);
    p0 += 16;
    p1 += 16;
    p2 += 16;
    p3 += 16;
    to += 128;
  }
  for (; k > 0; k--) {
    store<f32>(to, load<f32>(p0));
    store<f32>(to, load<f32>(p1), 4);
    store<f32>(to, load<f32>(p2), 8);
    store<f32>(to, load<f32>(p3), 12);
    p0 += 4;
    p1 += 4;
    p2 += 4;
    p3 += 4;
    to += 32;
  }
}

/** Interleaves `depth` floats of eight rows, `stride` bytes apart, of which the first `valid` exist. */
export function interleave8(to: usize, from: usize, stride: usize, valid: i32, depth: i32): void {
  const last = <usize> (valid - 1);
  for (let half: usize = 0; half < 8; half += 4) {
    interleave4(
      to + (half << 2),
      from + min(half, last) * stride,
      from + min(half + 1, last) * stride,
      from + min(half + 2, last) * stride,
      from + min(half + 3, last) * stride,
      depth,
    );
  }
}

/** Copies eight adjacent floats from each of `depth` rows, `stride` bytes apart. */
export function take8(to: usize, from: usize, stride: usize, depth: i32): void {
  for (let k = depth; k > 0; k--) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    to += 32;
    from += stride;
  }
}

/** Copies six adjacent floats from each of `depth` rows, `stride` bytes apart. */
export function take6(to: usize, from: usize, stride: usize, depth: i32): void {
  for (let k = depth; k > 0; k--) {
    v128.store(to, v128.load(from));
    store<u64>(to, load<u64>(from, 16), 16);
    to += 24;
    from += stride;
  }
}
