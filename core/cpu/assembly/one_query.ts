/** Attention with one query, as in token-by-token generation. A task takes a head and reads its keys and values without
 * packing them. */
import { greatestLane, lanesBelow, LOWEST, sumLanes } from "./attention_rows";
import { PANELS_A } from "./gemm";
import { choose, constant, decay, log } from "./math";
import { job, parallel, scratch } from "./pool";
import { ShortAttention, strideOf } from "./short_attention";

/** The offset of a task's weights: one for each key, their number rounded up to four. */
const WEIGHTS: usize = PANELS_A;

@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

/** The products of a query with four keys. */
function productsOf(q: usize, a: usize, b: usize, c: usize, d: usize, width: i32): v128 {
  let sumA = constant(0), sumB = sumA, sumC = sumA, sumD = sumA, left = width;
  for (; left >= 4; left -= 4, q += 16, a += 16, b += 16, c += 16, d += 16) {
    const x = v128.load(q);
    sumA = madd(x, v128.load(a), sumA);
    sumB = madd(x, v128.load(b), sumB);
    sumC = madd(x, v128.load(c), sumC);
    sumD = madd(x, v128.load(d), sumD);
  }
  const ab = f32x4.add(
    v128.shuffle<f32>(sumA, sumB, 0, 4, 1, 5),
    v128.shuffle<f32>(sumA, sumB, 2, 6, 3, 7),
  );
  const cd = f32x4.add(
    v128.shuffle<f32>(sumC, sumD, 0, 4, 1, 5),
    v128.shuffle<f32>(sumC, sumD, 2, 6, 3, 7),
  );
  let sums = f32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
  for (; left > 0; left--, q += 4, a += 4, b += 4, c += 4, d += 4) {
    let column = v128.load32_splat(a);
    column = f32x4.replace_lane(column, 1, load<f32>(b));
    column = f32x4.replace_lane(column, 2, load<f32>(c));
    column = f32x4.replace_lane(column, 3, load<f32>(d));
    sums = madd(v128.load32_splat(q), column, sums);
  }
  return sums;
}

/** Writes the logits of `limit` keys, padded to a multiple of four with the lowest number, and returns the largest. */
function writeLogits(a: ShortAttention, q: usize, k: usize, limit: i32): f32 {
  const stride = strideOf(a), scale = constant(a.scale), last = limit - 1;
  let greatest = constant(LOWEST), to = scratch + WEIGHTS;
  for (let key = 0; key < limit; key += 4, to += 16) {
    const products = productsOf(
      q,
      k + <usize> key * stride,
      k + <usize> min(key + 1, last) * stride,
      k + <usize> min(key + 2, last) * stride,
      k + <usize> min(key + 3, last) * stride,
      a.width,
    );
    const logits = choose(lanesBelow(key, limit), f32x4.mul(products, scale), constant(LOWEST));
    v128.store(to, logits);
    greatest = f32x4.pmax(greatest, logits);
  }
  return greatestLane(greatest);
}

/** Converts logits to exp(logit − largest), and returns their sum. */
function weighLogits(limit: i32, greatest: f32): f32 {
  let total = constant(0), at = scratch + WEIGHTS;
  for (let key = 0; key < limit; key += 4, at += 16) {
    const powers = decay(f32x4.sub(v128.load(at), constant(greatest)));
    const weights = v128.and(lanesBelow(key, limit), powers);
    v128.store(at, weights);
    total = f32x4.add(total, weights);
  }
  return sumLanes(total);
}

/** The weighted sum of the values, times `factor`. */
function mixValues(v: usize, stride: usize, out: usize, width: i32, limit: i32, factor: f32): void {
  let left = width;
  for (; left >= 16; left -= 16, v += 64, out += 64) {
    let a = constant(0), b = a, c = a, d = a, row = v, weight = scratch + WEIGHTS;
    for (let key = 0; key < limit; key++, row += stride, weight += 4) {
      const w = v128.load32_splat(weight);
      a = madd(w, v128.load(row), a);
      b = madd(w, v128.load(row, 16), b);
      c = madd(w, v128.load(row, 32), c);
      d = madd(w, v128.load(row, 48), d);
    }
    v128.store(out, f32x4.mul(a, constant(factor)));
    v128.store(out, f32x4.mul(b, constant(factor)), 16);
    v128.store(out, f32x4.mul(c, constant(factor)), 32);
    v128.store(out, f32x4.mul(d, constant(factor)), 48);
  }
  for (; left > 0; left--, v += 4, out += 4) {
    let sum: f32 = 0, row = v, weight = scratch + WEIGHTS;
    for (let key = 0; key < limit; key++, row += stride, weight += 4) {
      sum += load<f32>(weight) * load<f32>(row);
    }
    store<f32>(out, sum * factor);
  }
}

function headTask(index: i32): void {
  const a = changetype<ShortAttention>(job);
  const batch = index / a.heads, head = index - batch * a.heads;
  const stride = strideOf(a), own = <usize> (head * a.width) << 2;
  const query = <usize> batch * stride + own, keys = <usize> (batch * a.keys) * stride + own;
  const limit = a.visible ? max(min(load<i32>(a.visible), a.keys), 0) : a.keys;
  const greatest = writeLogits(a, a.q + query, a.k + keys, limit);
  const sum = weighLogits(limit, greatest), none = limit == 0;
  mixValues(a.v + keys, stride, a.out + query, a.width, limit, none ? <f32> 0 : <f32> 1 / sum);
  const l = greatest + f32x4.extract_lane(log(constant(sum)), 0);
  store<f32>(a.logsumexps + (<usize> index << 2), none ? <f32> 0 : l);
}

/** Attention of one query per sequence, to at most as many keys as fit into the scratch memory. */
export function oneQueryAttention(): void {
  const a = changetype<ShortAttention>(job);
  parallel(headTask, a.batch * a.heads);
}
