/** Attention and its gradients for short sequences. A task takes a whole head.
 *
 * A head's weights fit into the L1 cache. So the forward pass needs no running maximum, and all three gradients use
 * weights that are computed once. The weights of eight queries are stored side by side, key by key. So the sums of a
 * query stay in one lane, and the weights are already a panel for the next product. Products skip keys that no query
 * of a block sees, which is half of the work with causal attention.
 */
import { LOWEST, packColumns, packRows } from "./attention_rows";
import { COLUMNS, multiply, multiplyRows, PANELS_A, POSITION_TABLE, ROWS } from "./gemm";
import { choose, constant, decay, log } from "./math";
import { job, parallel, scratch } from "./pool";

// A thread's scratch memory: for each query, rounded up to eight, how many keys it sees, and its l and d.
const LIMITS: usize = POSITION_TABLE;
const LOGSUMEXPS: usize = POSITION_TABLE + 1024;
const TOTALS: usize = POSITION_TABLE + 2048;
/** A tile of six rows of eight floats. */
const TILE: usize = 64;
/** Bytes of a key's weights for eight queries. */
const LINE: usize = 32;

/** What the host writes to `job`. */
@unmanaged
export class ShortAttention {
  q: usize;
  k: usize;
  v: usize;
  out: usize; // forward
  logsumexps: usize;
  gradient: usize; // for the gradients
  totals: usize;
  outQ: usize;
  outK: usize;
  outV: usize;
  visible: usize; // 0: none
  batch: i32;
  queries: i32;
  keys: i32;
  heads: i32;
  width: i32;
  causal: i32;
  scale: f32;
}

/** Bytes from a head's row to its next. */
@inline
export function strideOf(a: ShortAttention): usize {
  return <usize> (a.heads * a.width) << 2;
}

/** Writes how many keys each query sees. Queries that do not exist see none. */
function describe(a: ShortAttention): void {
  for (let i = 0; i < ((a.queries + 7) & ~7); i++) {
    const at = <usize> i << 2;
    let limit = i < a.queries ? a.keys : 0;
    if (a.causal) limit = min(limit, i + 1 + a.keys - a.queries);
    if (a.visible && i < a.queries) limit = min(limit, load<i32>(a.visible + at));
    store<i32>(scratch + LIMITS + at, max(limit, 0));
  }
}

/** Writes l and d of each query. */
function describeGradient(a: ShortAttention, batch: i32, head: i32): void {
  for (let i = 0; i < ((a.queries + 7) & ~7); i++) {
    const to = scratch + (<usize> i << 2), exists = i < a.queries;
    const at = <usize> ((batch * a.queries + i) * a.heads + head) << 2;
    store<f32>(to + LOGSUMEXPS, exists ? load<f32>(a.logsumexps + at) : 0);
    store<f32>(to + TOTALS, exists ? load<f32>(a.totals + at) : 0);
  }
}

/** The largest number of keys that one of eight queries sees. */
function mostOf(query: i32): i32 {
  let most = 0;
  for (let i = 0; i < COLUMNS; i++) {
    most = max(most, load<i32>(scratch + LIMITS + (<usize> (query + i) << 2)));
  }
  return most;
}

/** The first block of eight queries in which some query sees a key. */
function firstBlockOf(a: ShortAttention, key: i32): i32 {
  let query = 0;
  while (query < a.queries && mostOf(query) <= key) query += COLUMNS;
  return query;
}

/** Six rows of eight sums at `to`: over `depth` steps, six numbers from `a` on, 32 bytes apart, times eight at `b`. The
 * steps of `a` are adjacent; after eight of them the next block follows, `block` bytes on. */
function multiplyAcross(
  depth: i32,
  a: usize,
  block: usize,
  b: usize,
  stepB: usize,
  to: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0), c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  for (; depth > 0; depth -= COLUMNS, a += block) {
    let from = a;
    for (let k = min(depth, COLUMNS); k > 0; k--) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let x = v128.load32_splat(from);
      c00 = f32x4.relaxed_madd(x, b0, c00);
      c01 = f32x4.relaxed_madd(x, b1, c01);
      x = v128.load32_splat(from, 32);
      c10 = f32x4.relaxed_madd(x, b0, c10);
      c11 = f32x4.relaxed_madd(x, b1, c11);
      x = v128.load32_splat(from, 64);
      c20 = f32x4.relaxed_madd(x, b0, c20);
      c21 = f32x4.relaxed_madd(x, b1, c21);
      x = v128.load32_splat(from, 96);
      c30 = f32x4.relaxed_madd(x, b0, c30);
      c31 = f32x4.relaxed_madd(x, b1, c31);
      x = v128.load32_splat(from, 128);
      c40 = f32x4.relaxed_madd(x, b0, c40);
      c41 = f32x4.relaxed_madd(x, b1, c41);
      x = v128.load32_splat(from, 160);
      c50 = f32x4.relaxed_madd(x, b0, c50);
      c51 = f32x4.relaxed_madd(x, b1, c51);
      from += 4;
      b += stepB;
    }
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c10, 32);
  v128.store(to, c11, 48);
  v128.store(to, c20, 64);
  v128.store(to, c21, 80);
  v128.store(to, c30, 96);
  v128.store(to, c31, 112);
  v128.store(to, c40, 128);
  v128.store(to, c41, 144);
  v128.store(to, c50, 160);
  v128.store(to, c51, 176);
}

/** Products of at least the first `most` keys with eight queries, from panels of depth `width`. */
function multiplyKeys(a: ShortAttention, keys: usize, queries: usize, most: i32, to: usize): void {
  const step = <usize> (a.width * ROWS) << 2;
  for (let key = 0; key < most; key += ROWS, keys += step, to += ROWS * LINE) {
    multiply(a.width, keys, queries, to);
  }
}

/** Writes a tile transposed: `rows` rows of `count` floats, each row multiplied by its factor. */
@inline
function writeColumns(tile: usize, to: usize, stride: usize, rows: i32, count: i32, factors: usize): void {
  for (let half = 0; half < rows; half += 4, tile += 16, to += stride << 2, factors += 16) {
    const f = v128.load(factors);
    const a = f32x4.mul(v128.load(tile), f), b = f32x4.mul(v128.load(tile, 32), f);
    const c = f32x4.mul(v128.load(tile, 64), f), d = f32x4.mul(v128.load(tile, 96), f);
    const e = f32x4.mul(v128.load(tile, 128), f), g = f32x4.mul(v128.load(tile, 160), f);
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const eg = v128.shuffle<f32>(e, g, 0, 4, 1, 5), AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7), EG = v128.shuffle<f32>(e, g, 2, 6, 3, 7);
    const left = rows - half;
    writeSix(to, v128.shuffle<i64>(ab, cd, 0, 2), eg, count);
    if (left > 1) writeSix(to + stride, v128.shuffle<i64>(ab, cd, 1, 3), upper(eg), count);
    if (left > 2) writeSix(to + 2 * stride, v128.shuffle<i64>(AB, CD, 0, 2), EG, count);
    if (left > 3) writeSix(to + 3 * stride, v128.shuffle<i64>(AB, CD, 1, 3), upper(EG), count);
  }
}

@inline
function upper(a: v128): v128 {
  return v128.shuffle<i64>(a, a, 1, 1);
}

/** Writes four floats and two more, or the first `count` of them. */
function writeSix(to: usize, four: v128, two: v128, count: i32): void {
  if (count >= 4) v128.store(to, four);
  else {
    v128.store32_lane(to, four, 0);
    if (count > 1) v128.store32_lane(to, four, 1, 4);
    if (count > 2) v128.store32_lane(to, four, 2, 8);
  }
  if (count >= 6) v128.store64_lane(to, two, 0, 16);
  else if (count == 5) v128.store32_lane(to, two, 0, 16);
}

/** Rows of up to eight queries = their weights · rows of keys or values, not packed, each multiplied by its factor. */
function mixRows(
  a: ShortAttention,
  weights: usize,
  rows: usize,
  most: i32,
  to: usize,
  queries: i32,
  factors: usize,
): void {
  const stride = strideOf(a), tile = scratch + TILE;
  for (let d = 0; d < a.width; d += ROWS, rows += ROWS << 2, to += ROWS << 2) {
    multiplyRows(most, rows, stride, weights, tile);
    writeColumns(tile, to, stride, queries, min(ROWS, a.width - d), factors);
  }
}

/** Converts logits of eight queries to exp(logit − largest), 0 for keys that a query does not see.
 * @param factors where to write 1/Σ of the weights, 0 for queries that see none, and then the logarithms
 */
function weigh(a: ShortAttention, query: i32, weights: usize, most: i32, factors: usize): void {
  for (let half: usize = 0; half < LINE; half += 16) {
    const from = weights + half, scale = constant(a.scale);
    const limits = v128.load(scratch + LIMITS + (<usize> query << 2) + half);
    let greatest = constant(LOWEST), total = constant(0), at = from;
    for (let key = 0; key < most; key++, at += LINE) {
      const sees = i32x4.gt_s(limits, i32x4.splat(key));
      const logits = choose(sees, f32x4.mul(v128.load(at), scale), constant(LOWEST));
      v128.store(at, logits);
      greatest = f32x4.pmax(greatest, logits);
    }
    at = from;
    for (let key = 0; key < most; key++, at += LINE) {
      const sees = i32x4.gt_s(limits, i32x4.splat(key));
      const powers = v128.and(sees, decay(f32x4.sub(v128.load(at), greatest)));
      v128.store(at, powers);
      total = f32x4.add(total, powers);
    }
    const some = i32x4.gt_s(limits, i32x4.splat(0));
    v128.store(factors + half, v128.and(some, f32x4.div(constant(1), total)));
    v128.store(factors + LINE + half, v128.and(some, f32x4.add(greatest, log(total))));
  }
}

function forwardTask(index: i32): void {
  const a = changetype<ShortAttention>(job);
  const batch = index / a.heads, head = index - batch * a.heads;
  const stride = strideOf(a), bytes = <usize> a.width << 2;
  const fromQ = <usize> (batch * a.queries) * stride + <usize> head * bytes;
  const fromK = <usize> (batch * a.keys) * stride + <usize> head * bytes;
  const keyPanels = scratch + PANELS_A, panels = <usize> (a.keys + ROWS) * bytes;
  const queryPanel = keyPanels + panels, factors = queryPanel + bytes * COLUMNS;
  const weights = factors + 2 * LINE;
  describe(a);
  packRows(keyPanels, a.k + fromK, stride, a.keys, a.width);
  for (let query = 0; query < a.queries; query += COLUMNS) {
    const count = min(COLUMNS, a.queries - query), most = mostOf(query);
    const own = fromQ + <usize> query * stride;
    packColumns(queryPanel, a.q + own, stride, count, a.width);
    multiplyKeys(a, keyPanels, queryPanel, most, weights);
    weigh(a, query, weights, most, factors);
    mixRows(a, weights, a.v + fromK, most, a.out + own, count, factors);
    for (let i = 0; i < count; i++) {
      const number = <usize> ((batch * a.queries + query + i) * a.heads + head) << 2;
      store<f32>(a.logsumexps + number, load<f32>(factors + LINE + (<usize> i << 2)));
    }
  }
}

/** Converts logits of eight queries to weights p, and the products of the gradient with the values to
 * p·(product − d)·scale. Both are 0 for keys that a query does not see, up to `end`. */
function weighGradient(
  a: ShortAttention,
  query: i32,
  weights: usize,
  slopes: usize,
  most: i32,
  end: i32,
): void {
  const scale = constant(a.scale), from = scratch + (<usize> query << 2);
  for (let half: usize = 0; half < LINE; half += 16) {
    const limits = v128.load(from + LIMITS + half);
    const l = v128.load(from + LOGSUMEXPS + half), d = v128.load(from + TOTALS + half);
    let at = half;
    for (let key = 0; key < most; key++, at += LINE) {
      const sees = i32x4.gt_s(limits, i32x4.splat(key));
      const powers = decay(f32x4.sub(f32x4.mul(v128.load(weights + at), scale), l));
      const centred = f32x4.mul(f32x4.sub(v128.load(slopes + at), d), scale);
      v128.store(weights + at, v128.and(sees, powers));
      v128.store(slopes + at, v128.and(sees, f32x4.mul(powers, centred)));
    }
  }
  const rest = <usize> (end - most) * LINE;
  memory.fill(weights + <usize> most * LINE, 0, rest);
  memory.fill(slopes + <usize> most * LINE, 0, rest);
}

/** `height` rows of the keys' gradients = their weights, or slopes, in all blocks of queries from `query` on · the
 * queries' rows, not packed. */
function mixQueries(
  a: ShortAttention,
  weights: usize,
  block: usize,
  query: i32,
  rows: usize,
  to: usize,
  height: i32,
): void {
  const stride = strideOf(a), tile = scratch + TILE;
  const from = weights + <usize> (query / COLUMNS) * block, start = rows + <usize> query * stride;
  for (let d = 0; d < a.width; d += COLUMNS) {
    const offset = <usize> d << 2, width = min(COLUMNS, a.width - d);
    multiplyAcross(a.queries - query, from, block, start + offset, stride, tile);
    for (let i = 0; i < height; i++) {
      const row = tile + <usize> i * LINE, target = to + <usize> i * stride + offset;
      if (width == COLUMNS) {
        v128.store(target, v128.load(row));
        v128.store(target, v128.load(row, 16), 16);
      } else {
        for (let j = 0; j < width; j++) {
          store<f32>(target + (<usize> j << 2), load<f32>(row + (<usize> j << 2)));
        }
      }
    }
  }
}

function gradientTask(index: i32): void {
  const a = changetype<ShortAttention>(job);
  const batch = index / a.heads, head = index - batch * a.heads;
  const stride = strideOf(a), bytes = <usize> a.width << 2;
  const fromQ = <usize> (batch * a.queries) * stride + <usize> head * bytes;
  const fromK = <usize> (batch * a.keys) * stride + <usize> head * bytes;
  const keyPanels = scratch + PANELS_A, panels = <usize> (a.keys + ROWS) * bytes;
  const valuePanels = keyPanels + panels, queryPanel = valuePanels + panels;
  const ones = queryPanel + bytes * COLUMNS, weights = ones + LINE;
  const end = (a.keys + ROWS - 1) / ROWS * ROWS, block = <usize> end * LINE;
  const slopes = weights + block * <usize> ((a.queries + COLUMNS - 1) / COLUMNS);
  describe(a);
  describeGradient(a, batch, head);
  v128.store(ones, constant(1));
  v128.store(ones, constant(1), 16);
  packRows(keyPanels, a.k + fromK, stride, a.keys, a.width);
  packRows(valuePanels, a.v + fromK, stride, a.keys, a.width);
  let own = weights, ownSlopes = slopes;
  for (let query = 0; query < a.queries; query += COLUMNS, own += block, ownSlopes += block) {
    const count = min(COLUMNS, a.queries - query), most = mostOf(query);
    const at = fromQ + <usize> query * stride;
    packColumns(queryPanel, a.q + at, stride, count, a.width);
    multiplyKeys(a, keyPanels, queryPanel, most, own);
    packColumns(queryPanel, a.gradient + at, stride, count, a.width);
    multiplyKeys(a, valuePanels, queryPanel, most, ownSlopes);
    weighGradient(a, query, own, ownSlopes, most, end);
    mixRows(a, ownSlopes, a.k + fromK, most, a.outQ + at, count, ones);
  }
  for (let key = 0; key < a.keys; key += ROWS) {
    const height = min(ROWS, a.keys - key), query = firstBlockOf(a, key);
    const at = fromK + <usize> key * stride, line = <usize> key * LINE;
    mixQueries(a, slopes + line, block, query, a.q + fromQ, a.outK + at, height);
    mixQueries(a, weights + line, block, query, a.gradient + fromQ, a.outV + at, height);
  }
}

/** The number of tasks: one per head. */
function headTasks(a: ShortAttention): i32 {
  return a.batch * a.heads;
}

export function shortAttention(): void {
  parallel(forwardTask, headTasks(changetype<ShortAttention>(job)));
}

export function shortAttentionGradient(): void {
  parallel(gradientTask, headTasks(changetype<ShortAttention>(job)));
}
