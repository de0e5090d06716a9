/** Attention and its gradients where sequences are short: a task takes a whole head.
 *
 * A head's weights then fit into the nearest cache, so that forward needs no running maximum, and all three gradients
 * come from weights that are computed once. Products leave out what no query of a panel sees: half of everything with
 * causal attention.
 */
import {
  greatestLane,
  lanesBelow,
  listRows,
  LOWEST,
  packColumns,
  packRows,
  packWeighed,
  scaleRow,
  sumLanes,
} from "./attention_rows";
import { COLUMNS, padded, PANELS_A, POSITION_TABLE, product, ROW_TABLE, ROWS } from "./gemm";
import { choose, constant, exp, log } from "./math";
import { take6 } from "./pack";
import { job, parallel, scratch } from "./pool";

// A thread's scratch memory: how many keys each query sees, and the addresses of six rows.
const LIMITS: usize = POSITION_TABLE;
const TABLE: usize = ROW_TABLE;

/** What the host writes to `job`. */
@unmanaged
class ShortAttention {
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
function strideOf(a: ShortAttention): usize {
  return <usize> (a.heads * a.width) << 2;
}

/** Writes how many keys each query sees. */
function describe(a: ShortAttention): void {
  for (let i = 0; i < a.queries; i++) {
    const at = <usize> i << 2;
    let limit = a.keys;
    if (a.causal) limit = min(limit, i + 1 + a.keys - a.queries);
    if (a.visible) limit = min(limit, load<i32>(a.visible + at));
    store<i32>(scratch + LIMITS + at, max(limit, 0));
  }
}

@inline
function limitOf(query: i32): i32 {
  return load<i32>(scratch + LIMITS + (<usize> query << 2));
}

/** The most keys that one of `height` queries sees. */
function mostOf(row: i32, height: i32): i32 {
  let most = 0;
  for (let i = 0; i < height; i++) most = max(most, limitOf(row + i));
  return most;
}

/** The first query that sees a key. */
function firstOf(a: ShortAttention, key: i32): i32 {
  let query = 0;
  while (query < a.queries && limitOf(query) <= key) query++;
  return query;
}

/** Rows at `to`, `pitch` bytes apart = a panel of six rows · all panels of columns up to `count`, each `depth` deep. */
function multiplyRows(panel: usize, columns: usize, depth: i32, count: i32, to: usize, pitch: usize): void {
  listRows(scratch + TABLE, to, pitch, ROWS);
  const step = <usize> (depth * COLUMNS) << 2;
  for (let j = 0; j < count; j += COLUMNS, columns += step) {
    product(depth, panel, columns, scratch + TABLE, <usize> j << 2, ROWS, COLUMNS);
  }
}

/** `height` rows of an output = a panel · columns of the head's width.
 * @param columns where the first row of the first panel of columns lies
 * @param length rows of each panel of columns, of which `depth` count
 */
function writeRows(
  a: ShortAttention,
  panel: usize,
  columns: usize,
  depth: i32,
  length: i32,
  to: usize,
  height: i32,
): void {
  listRows(scratch + TABLE, to, strideOf(a), height);
  const step = <usize> (length * COLUMNS) << 2;
  for (let d = 0; d < a.width; d += COLUMNS, columns += step) {
    const width = min(COLUMNS, a.width - d);
    product(depth, panel, columns, scratch + TABLE, <usize> d << 2, height, width);
  }
}

/** Logits become exp(logit − greatest), 0 from `limit` on, up to `most`.
 * @param number of the query among all, for its l
 * @returns the sum of the weights
 */
function weigh(a: ShortAttention, row: usize, limit: i32, most: i32, number: i32): f32 {
  const scale = constant(a.scale), lowest = constant(LOWEST);
  let greatest = lowest, total = constant(0);
  for (let c = 0; c < limit; c += 4) {
    const at = row + (<usize> c << 2);
    const seen = choose(lanesBelow(c, limit), f32x4.mul(v128.load(at), scale), lowest);
    v128.store(at, seen);
    greatest = f32x4.pmax(greatest, seen);
  }
  const most0 = greatestLane(greatest), shift = constant(most0);
  let c = 0;
  for (; c < limit; c += 4) {
    const at = row + (<usize> c << 2);
    const weights = v128.and(lanesBelow(c, limit), exp(f32x4.sub(v128.load(at), shift)));
    v128.store(at, weights);
    total = f32x4.add(total, weights);
  }
  for (; c < most; c += 4) v128.store(row + (<usize> c << 2), constant(0));
  const sum = sumLanes(total);
  const l = limit == 0 ? <f32> 0 : most0 + f32x4.extract_lane(log(constant(sum)), 0);
  store<f32>(a.logsumexps + (<usize> number << 2), l);
  return sum;
}

function forwardTask(index: i32): void {
  const a = changetype<ShortAttention>(job);
  const batch = index / a.heads, head = index - batch * a.heads;
  const width = a.width, keys = a.keys, stride = strideOf(a), bytes = <usize> width << 2;
  const fromQ = <usize> (batch * a.queries) * stride + <usize> head * bytes;
  const fromK = <usize> (batch * keys) * stride + <usize> head * bytes;
  const columns = padded(keys), pitch = <usize> columns << 2;
  const panel = scratch + PANELS_A;
  const keyPanels = panel + <usize> ROWS * max(bytes, pitch);
  const valuePanels = keyPanels + pitch * <usize> width;
  const logits = valuePanels + (<usize> (keys * padded(width)) << 2);
  describe(a);
  packColumns(keyPanels, a.k + fromK, stride, keys, width);
  packWeighed(valuePanels, a.v + fromK, stride, keys, width);
  for (let row = 0; row < a.queries; row += ROWS) {
    const height = min(ROWS, a.queries - row), most = mostOf(row, height);
    const at = fromQ + <usize> row * stride, out = a.out + at;
    packRows(panel, a.q + at, stride, height, width);
    multiplyRows(panel, keyPanels, width, most, logits, pitch);
    const sums = scratch + LIMITS + 4096;
    for (let i = 0; i < height; i++) {
      const number = (batch * a.queries + row + i) * a.heads + head;
      const sum = weigh(a, logits + <usize> i * pitch, limitOf(row + i), most, number);
      store<f32>(sums + (<usize> i << 2), sum == 0 ? 0 : <f32> 1 / sum);
    }
    packRows(panel, logits, pitch, height, most);
    writeRows(a, panel, valuePanels, most, keys, out, height);
    for (let i = 0; i < height; i++) {
      scaleRow(out + <usize> i * stride, width, load<f32>(sums + (<usize> i << 2)));
    }
  }
}

/** Logits become weights p, and the products of the gradient with the values become p·(product − d)·scale; both are 0
 * from `limit` on. */
function weighGradient(
  a: ShortAttention,
  row: usize,
  products: usize,
  limit: i32,
  columns: i32,
  number: i32,
): void {
  const scale = constant(a.scale), at = <usize> number << 2;
  const l = v128.load32_splat(a.logsumexps + at), d = v128.load32_splat(a.totals + at);
  let c = 0;
  for (; c < limit; c += 4, row += 16, products += 16) {
    const powers = exp(f32x4.sub(f32x4.mul(v128.load(row), scale), l));
    const sees = lanesBelow(c, limit);
    const slopes = f32x4.mul(f32x4.sub(v128.load(products), d), scale);
    v128.store(row, v128.and(sees, powers));
    v128.store(products, v128.and(sees, f32x4.mul(powers, slopes)));
  }
  const rest = <usize> (columns - c) << 2;
  memory.fill(row, 0, rest);
  memory.fill(products, 0, rest);
}

function gradientTask(index: i32): void {
  const a = changetype<ShortAttention>(job);
  const batch = index / a.heads, head = index - batch * a.heads;
  const width = a.width, queries = a.queries, keys = a.keys;
  const stride = strideOf(a), bytes = <usize> width << 2;
  const fromQ = <usize> (batch * queries) * stride + <usize> head * bytes;
  const fromK = <usize> (batch * keys) * stride + <usize> head * bytes;
  const columns = padded(keys), pitch = <usize> columns << 2;
  const panel = scratch + PANELS_A;
  const longest = <usize> max(columns, queries) << 2;
  const weights = panel + <usize> ROWS * max(bytes, longest);
  const slopes = weights + <usize> (queries + ROWS) * pitch;
  const first = slopes + <usize> (queries + ROWS) * pitch;
  const room = longest * <usize> padded(width);
  const second = first + room, third = second + room;
  describe(a);
  packColumns(first, a.k + fromK, stride, keys, width);
  packColumns(second, a.v + fromK, stride, keys, width);
  packWeighed(third, a.k + fromK, stride, keys, width);
  for (let row = 0; row < queries; row += ROWS) {
    const height = min(ROWS, queries - row), most = mostOf(row, height);
    const at = fromQ + <usize> row * stride, own = <usize> row * pitch;
    packRows(panel, a.q + at, stride, height, width);
    multiplyRows(panel, first, width, most, weights + own, pitch);
    packRows(panel, a.gradient + at, stride, height, width);
    multiplyRows(panel, second, width, most, slopes + own, pitch);
    for (let i = 0; i < height; i++) {
      const number = (batch * queries + row + i) * a.heads + head, to = own + <usize> i * pitch;
      weighGradient(a, weights + to, slopes + to, limitOf(row + i), columns, number);
    }
    packRows(panel, slopes + own, pitch, height, most);
    writeRows(a, panel, third, most, keys, a.outQ + at, height);
  }
  packWeighed(first, a.q + fromQ, stride, queries, width);
  packWeighed(second, a.gradient + fromQ, stride, queries, width);
  for (let key = 0; key < keys; key += ROWS) {
    const height = min(ROWS, keys - key), query = firstOf(a, key), depth = queries - query;
    const at = fromK + <usize> key * stride;
    const from = <usize> query * pitch + (<usize> key << 2);
    const seen = <usize> (query * COLUMNS) << 2;
    take6(panel, slopes + from, pitch, depth);
    writeRows(a, panel, first + seen, depth, queries, a.outK + at, height);
    take6(panel, weights + from, pitch, depth);
    writeRows(a, panel, second + seen, depth, queries, a.outV + at, height);
  }
}

/** Heads of a task: each is small. */
function headTasks(a: ShortAttention): i32 {
  return a.batch * a.heads;
}

export function shortAttention(): void {
  parallel(forwardTask, headTasks(changetype<ShortAttention>(job)));
}

export function shortAttentionGradient(): void {
  parallel(gradientTask, headTasks(changetype<ShortAttention>(job)));
}
