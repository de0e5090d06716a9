/** Attention and its gradients, tile by tile, so that the weight matrix is never in memory.
 *
 * A task takes a block of rows of one head and walks over tiles of its columns. It multiplies rows and columns to
 * get a tile of logits, converts them to weights, and adds the weighted columns to a sum for each row. The rows are
 * queries and the columns keys; for the gradients of keys and values it is the other way round. In the forward pass,
 * the largest logit of a row so far is subtracted, and the sum is rescaled when a larger one comes (arXiv
 * 2205.14135). In the backward pass, the weights are recomputed from the saved logarithms of the sums.
 */
import { job, parallel, scratch } from "./pool";
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
import { ADD, block, padded, PANELS_A, POSITION_TABLE, ROW_TABLE } from "./gemm";
import { choose, constant, decay, log } from "./math";

// What is computed: the output, the gradient of the queries, or (larger numbers) that of keys or values.
const FORWARD: i32 = 0;
const QUERIES: i32 = 1;

// A thread's scratch memory, before the packed rows.
const LOGIT_ROWS: usize = ROW_TABLE;
const PRODUCT_ROWS: usize = ROW_TABLE + 512;
const SUM_ROWS: usize = ROW_TABLE + 1024;
/** For each query of the tile, how many keys it sees, and its l and d. */
const LIMITS: usize = POSITION_TABLE;
const LOGSUMEXPS: usize = POSITION_TABLE + 1024;
const TOTALS: usize = POSITION_TABLE + 2048;
/** For each row its largest logit, and the sum of its weights. */
const GREATEST: usize = POSITION_TABLE + 3072;
const WEIGHT_SUMS: usize = POSITION_TABLE + 4096;

/** What the host writes to `job`. Of the tensors, `rows` and `columns` give the logits, `otherRows` and
 * `otherColumns` the products of the gradient with the values (0: none), and `weighed` is summed. */
@unmanaged
class Attention {
  rows: usize;
  columns: usize;
  otherRows: usize;
  otherColumns: usize;
  weighed: usize;
  out: usize;
  logsumexps: usize; // l, written forward
  totals: usize; // d
  visible: usize; // 0: none
  batch: i32;
  rowCount: i32;
  columnCount: i32;
  heads: i32;
  width: i32;
  blockRows: i32; // a multiple of 6, at most 96
  tileColumns: i32; // a multiple of 8, at most 128
  kind: i32;
  causal: i32;
  scale: f32;
}

/** How many keys a query sees. */
function limitOf(a: Attention, query: i32): i32 {
  const byQueries = a.kind <= QUERIES;
  const keys = byQueries ? a.columnCount : a.rowCount;
  const queries = byQueries ? a.rowCount : a.columnCount;
  let limit = keys;
  if (a.causal) limit = min(limit, query + 1 + keys - queries);
  if (a.visible) limit = min(limit, load<i32>(a.visible + (<usize> query << 2)));
  return limit;
}

/** Writes the data of `count` queries from `first` on, and returns the largest number of keys that one of them sees.
 * `count` is rounded up to a multiple of 4; queries that do not exist see no keys. */
function describeQueries(a: Attention, batch: i32, head: i32, first: i32, count: i32): i32 {
  const queries = a.kind <= QUERIES ? a.rowCount : a.columnCount;
  let most = 0;
  for (let i = 0; i < ((count + 3) & ~3); i++) {
    const to = scratch + (<usize> i << 2), exists = i < count;
    const limit = exists ? limitOf(a, first + i) : 0;
    store<i32>(to + LIMITS, limit);
    most = max(most, limit);
    if (a.kind == FORWARD) continue;
    const at = <usize> ((batch * queries + first + i) * a.heads + head) << 2;
    store<f32>(to + LOGSUMEXPS, exists ? load<f32>(a.logsumexps + at) : 0);
    store<f32>(to + TOTALS, exists && a.totals ? load<f32>(a.totals + at) : 0);
  }
  return most;
}

/** Forward: converts the logits of a row to exp(logit − largest), 0 for keys that it does not see.
 * @param visible how many of the tile's keys it sees
 * @param sum the address of the row's weighted sum
 */
function weighForward(a: Attention, i: i32, row: usize, count: i32, visible: i32, sum: usize): void {
  const scale = constant(a.scale), lowest = constant(LOWEST);
  let greatest = lowest;
  for (let c = 0; c < count; c += 4) {
    const at = row + (<usize> c << 2);
    const logits = f32x4.mul(v128.load(at), scale);
    const seen = choose(lanesBelow(c, visible), logits, lowest);
    v128.store(at, seen);
    greatest = f32x4.max(greatest, seen);
  }
  const place = scratch + (<usize> i << 2);
  const before = load<f32>(place + GREATEST), now = max<f32>(before, greatestLane(greatest));
  let total = constant(0);
  for (let c = 0; c < count; c += 4) {
    const at = row + (<usize> c << 2);
    const powers = decay(f32x4.sub(v128.load(at), constant(now)));
    const weights = v128.and(lanesBelow(c, visible), powers);
    v128.store(at, weights);
    total = f32x4.add(total, weights);
  }
  let weightSum = load<f32>(place + WEIGHT_SUMS);
  if (now != before) {
    const factor = f32x4.extract_lane(decay(constant(before - now)), 0);
    weightSum *= factor;
    scaleRow(sum, a.width, factor);
    store<f32>(place + GREATEST, now);
  }
  store<f32>(place + WEIGHT_SUMS, weightSum + sumLanes(total));
}

/** For the gradient of the queries: converts a query's logits to p·(product − d)·scale. */
function weighByQuery(
  a: Attention,
  i: i32,
  row: usize,
  products: usize,
  count: i32,
  visible: i32,
): void {
  const place = scratch + (<usize> i << 2), scale = constant(a.scale);
  const l = v128.load32_splat(place + LOGSUMEXPS), d = v128.load32_splat(place + TOTALS);
  for (let c = 0; c < count; c += 4) {
    const at = <usize> c << 2;
    const p = decay(f32x4.sub(f32x4.mul(v128.load(row + at), scale), l));
    const slopes = f32x4.mul(f32x4.sub(v128.load(products + at), d), scale);
    v128.store(row + at, v128.and(lanesBelow(c, visible), f32x4.mul(p, slopes)));
  }
}

/** For the gradients of keys and values: converts a key's logits to p·(product − d)·scale, or to p if there are no
 * products. */
function weighByKey(a: Attention, key: i32, row: usize, products: usize, count: i32): void {
  const scale = constant(a.scale);
  for (let c = 0; c < count; c += 4) {
    const at = <usize> c << 2, place = scratch + at;
    const logits = f32x4.mul(v128.load(row + at), scale);
    let weights = decay(f32x4.sub(logits, v128.load(place + LOGSUMEXPS)));
    if (products) {
      const centred = f32x4.sub(v128.load(products + at), v128.load(place + TOTALS));
      weights = f32x4.mul(weights, f32x4.mul(centred, scale));
    }
    const sees = i32x4.gt_s(v128.load(place + LIMITS), i32x4.splat(key));
    v128.store(row + at, v128.and(sees, weights));
  }
}

/** Writes a row's sum; in the forward pass divided by the sum of its weights. */
function finishRow(a: Attention, i: i32, number: i32, sum: usize): void {
  if (a.kind == FORWARD) {
    const place = scratch + (<usize> i << 2), weightSum = load<f32>(place + WEIGHT_SUMS);
    const none = weightSum == 0;
    scaleRow(sum, a.width, none ? <f32> 0 : <f32> 1 / weightSum);
    const l = load<f32>(place + GREATEST) + f32x4.extract_lane(log(constant(weightSum)), 0);
    store<f32>(a.logsumexps + (<usize> number << 2), none ? <f32> 0 : l);
  }
  const bytes = <usize> a.width << 2;
  memory.copy(a.out + <usize> number * bytes, sum, bytes);
}

function blockTask(index: i32): void {
  const a = changetype<Attention>(job);
  const blocks = (a.rowCount + a.blockRows - 1) / a.blockRows;
  const item = index / blocks, batch = item / a.heads, head = item - batch * a.heads;
  const row = (index - item * blocks) * a.blockRows, height = min(a.blockRows, a.rowCount - row);
  const byQueries = a.kind <= QUERIES;
  const bytes = <usize> a.width << 2, stride = bytes * <usize> a.heads;
  const before = <usize> (batch * a.rowCount + row) * stride + <usize> head * bytes;

  const tile = a.tileColumns, tileBytes = <usize> tile << 2;
  const panels = <usize> a.blockRows * bytes;
  const rowPanels = scratch + PANELS_A, otherPanels = rowPanels + panels;
  const columnPanels = otherPanels + panels;
  const logits = columnPanels + tileBytes * <usize> padded(a.width);
  const products = logits + tileBytes * <usize> a.blockRows;
  const weights = products + tileBytes * <usize> a.blockRows;
  const sums = weights + tileBytes * <usize> a.blockRows;
  listRows(scratch + LOGIT_ROWS, logits, tileBytes, height);
  listRows(scratch + PRODUCT_ROWS, products, tileBytes, height);
  listRows(scratch + SUM_ROWS, sums, bytes, height);

  packRows(rowPanels, a.rows + before, stride, height, a.width);
  if (a.otherRows) packRows(otherPanels, a.otherRows + before, stride, height, a.width);
  memory.fill(sums, 0, <usize> height * bytes);
  let end = a.columnCount;
  if (byQueries) end = min(end, describeQueries(a, batch, head, row, height));
  for (let i = 0; i < height; i++) {
    const place = scratch + (<usize> i << 2);
    store<f32>(place + GREATEST, LOWEST);
    store<f32>(place + WEIGHT_SUMS, 0);
  }

  for (let first = 0; first < end; first += tile) {
    const count = min(tile, end - first);
    if (!byQueries && describeQueries(a, batch, head, first, count) <= row) continue;
    const from = <usize> (batch * a.columnCount + first) * stride + <usize> head * bytes;
    packColumns(columnPanels, a.columns + from, stride, count, a.width);
    block(a.width, rowPanels, columnPanels, scratch + LOGIT_ROWS, height, 0, count, 0, 0);
    if (a.otherRows) {
      packColumns(columnPanels, a.otherColumns + from, stride, count, a.width);
      block(a.width, otherPanels, columnPanels, scratch + PRODUCT_ROWS, height, 0, count, 0, 0);
    }
    for (let i = 0; i < height; i++) {
      const at = <usize> i * tileBytes, others = a.otherRows ? products + at : 0;
      if (!byQueries) {
        weighByKey(a, row + i, logits + at, others, count);
        continue;
      }
      const visible = min(load<i32>(scratch + (<usize> i << 2) + LIMITS) - first, count);
      if (a.kind == FORWARD) {
        weighForward(a, i, logits + at, count, visible, sums + <usize> i * bytes);
      } else {
        weighByQuery(a, i, logits + at, others, count, visible);
      }
    }
    packRows(weights, logits, tileBytes, height, count);
    packWeighed(columnPanels, a.weighed + from, stride, count, a.width);
    block(count, weights, columnPanels, scratch + SUM_ROWS, height, 0, a.width, ADD, 0);
  }
  for (let i = 0; i < height; i++) {
    const number = (batch * a.rowCount + row + i) * a.heads + head;
    finishRow(a, i, number, sums + <usize> i * bytes);
  }
}

export function attention(): void {
  const a = changetype<Attention>(job);
  parallel(blockTask, a.batch * a.heads * ((a.rowCount + a.blockRows - 1) / a.blockRows));
}
