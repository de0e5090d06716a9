/** The nearest-code kernel: for every query the most similar key, tile by tile, without the matrix of similarities.
 *
 * A similarity is (nq + nk) + factor·(q·k): with the negated squared norms and 2 for l2, with zeros and 1 for the
 * cosine of normalised rows. One pass over the rows prepares those. Then each tile of queries goes through a range of
 * keys and keeps the best. If several ranges share the queries, their best keys are merged in order. Keys that are so
 * close that a tile's rounding could decide are compared again, with sums rounded as the operation defines. (Not with
 * noise, which is far coarser than the rounding.)
 */
import type { Attributes, Distance } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { EXACT_NUMBERS, EXACT_SUMS } from "../exact.ts";
import { floatFunctions } from "../float_functions.ts";
import {
  type ComputeShader,
  floatBits,
  type Launcher,
  WORKGROUP_SIZE,
  workgroupsFor,
} from "../launch.ts";
import { checkLoops, loopBudget } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { elementType } from "../product.ts";
import { SharedTile } from "../shared_tile.ts";
import { GUMBEL, KEY_NUMBERS, keyNumbers, PHILOX } from "../philox.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

// ---- rows --------------------------------------------------------------------------------------------------

/** Rows prepared for the product, and the part of the similarity that depends on each row alone. */
interface Prepared {
  readonly rows: WebGpuBuffer;
  readonly norms: WebGpuBuffer;
}

// Root and quotients are corrected by their remainders, because WGSL's may be a few ulps off.
const NORMALIZE = `
  norms[index] = 0.0;
  let root = sqrt(square);
  let corrected = root + total(plus_product(sum, -root, root)) / (2.0 * root);
  let norm = select(1e-12, corrected, square > 1e-24);
  for (var at = begin; at < end; at++) {
    let quotient = rows[at] / norm;
    normalized[at] = quotient + fused(-quotient, norm, rows[at]) / norm;
  }`;

// Uses the scratch slots `slot` and `slot + 1`.
function prepareRows(
  launcher: Launcher,
  { buffer, shape: [count, depth] }: View<WebGpuBuffer>,
  distance: Distance,
  slot: number,
): Prepared {
  const cosine = distance === "cos";
  const norms = launcher.scratch(slot, count * 4);
  const rows = cosine ? launcher.scratch(slot + 1, count * depth * 4) : buffer;
  launcher.launch({
    key: `nearestRows/${distance}`,
    shader: () => ({
      inputs: ["rows: f32"],
      outputs: ["norms: f32", ...(cosine ? ["normalized: f32"] : [])],
      numbers: ["count: u32", "depth: u32", ...EXACT_NUMBERS],
      declarations: EXACT_SUMS,
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.count) { return; }
  let begin = index * numbers.depth;
  let end = begin + numbers.depth;
  var sum = Exact(0.0, 0.0);
  for (var at = begin; at < end; at++) { sum = plus_product(sum, rows[at], rows[at]); }
  let square = total(sum);
  ${cosine ? NORMALIZE : "norms[index] = -square;"}`,
    }),
    inputs: [buffer],
    outputs: cosine ? [norms, rows] : [norms],
    numbers: [count, depth, 0],
    workgroups: workgroupsFor(count),
  });
  return { rows, norms };
}

// ---- tiles -------------------------------------------------------------------------------------------------

/** How a launch is specialised. */
interface Kind {
  readonly noisy: boolean;
  /** Whether rows are read four elements at a time. */
  readonly vectors: boolean;
  /** Whether this launch writes indices instead of partial results. */
  readonly final: boolean;
}

const NUMBERS = [
  "queries: u32",
  "keys: u32",
  "depth: u32",
  "ranges: u32",
  "range_length: u32",
  "tiles: u32",
  "factor: f32",
  "unit: f32", // 1 where rows are normalised, 0 where their norms are subtracted
  "resolution: f32", // of a tile's sums
  ...EXACT_NUMBERS,
  ...KEY_NUMBERS,
];

const BEST = "struct Best { similarity: f32, key: u32 }";
const NONE = "Best(-infinity(), 0u)";

// Loops over four keys. `statements` can use the position `at`, the `norms` and the `similarity` of each, a number.
const eachKey = (noise: string, statements: string): string => `
  for (var j = 0u; j < 4u; j++) {
    let at = min(key + j, end - 1u);
    let norms = query_norms[query] + key_norms[at];
    let similarity = norms + numbers.factor * products[j]${noise};
    if (key + j < end && !is_nan(similarity)) {${statements}
    }
  }`;

// A draw takes the larger of the tiles' sums.
const DRAWN = `
fn exact_best(query: u32, best: Best) -> Best { return best; }
fn is_near(similarity: f32, best: Best, norms: f32) -> bool { return true; }
fn better(best: Best, query: u32, key: u32, products: vec4<f32>, end: u32) -> Best {
  let words = random_words(key / 4u, query);
  var result = best;${
  eachKey(
    " + gumbel(words[j])",
    `
      if (similarity >= result.similarity) { result = Best(similarity, at); }`,
  )
}
  return result;
}`;

// If any of four keys is close to the best so far, all four are compared again with it.
const compared = (vectors: boolean): string => `
alias Row = ${vectors ? "vec4<f32>" : "f32"};
fn plus_products(sum: f32, q: Row, k: Row) -> f32 {
  ${
  vectors
    ? "return fused(q.w, k.w, fused(q.z, k.z, fused(q.y, k.y, fused(q.x, k.x, sum))));"
    : "return fused(q, k, sum);"
}
}
fn exact_similarity(query: u32, key: u32, product: f32) -> f32 {
  return (query_norms[query] + key_norms[key]) + numbers.factor * product;
}
fn exact_best(query: u32, best: Best) -> Best {
  if (best.similarity == -infinity()) { return best; }
  let length = numbers.depth${vectors ? " / 4u" : ""};
  var product = 0.0;
  for (var d = 0u; d < length; d++) {
    product = plus_products(product, queries[query * length + d], keys[best.key * length + d]);
  }
  return Best(exact_similarity(query, best.key, product), best.key);
}
fn is_near(similarity: f32, best: Best, norms: f32) -> bool {
  return !(abs(similarity - best.similarity) > numbers.resolution * (numbers.unit - norms));
}
fn exactly_better(best: Best, query: u32, key: u32, products: vec4<f32>, end: u32) -> Best {
  let length = numbers.depth${vectors ? " / 4u" : ""};
  var exact = array<f32, 5>();
  for (var d = 0u; d < length; d++) {
    let q = queries[query * length + d];
    for (var j = 0u; j < 4u; j++) {
      exact[j] = plus_products(exact[j], q, keys[min(key + j, end - 1u) * length + d]);
    }
    exact[4] = plus_products(exact[4], q, keys[best.key * length + d]);
  }
  var result = best;
  var greatest = exact_similarity(query, best.key, exact[4]);${
  eachKey(
    "",
    `
      let mine = exact_similarity(query, at, exact[j]);
      let near = is_near(similarity, result, norms);
      if (select(similarity > result.similarity, mine >= greatest, near)) {
        result = Best(similarity, at);
        greatest = mine;
      }`,
  )
}
  return result;
}
fn better(best: Best, query: u32, key: u32, products: vec4<f32>, end: u32) -> Best {
  var result = best;
  var near = false;${
  eachKey(
    "",
    `
      near = near || is_near(similarity, result, norms);
      if (similarity > result.similarity) { result = Best(similarity, at); }`,
  )
}
  if (near) { return exactly_better(best, query, key, products, end); }
  return result;
}`;

// Among equals the later key wins; NaN never wins.
function declarations({ noisy, vectors, final }: Kind): string {
  return `${floatFunctions(1, [noisy ? "logarithm" : "special"])}
${BEST}
${noisy ? PHILOX + GUMBEL + DRAWN : EXACT_SUMS + compared(vectors)}
fn keep(query: u32, of_range: u32, best: Best) {
  bests[of_range * numbers.queries + query] = ${final ? "i32(best.key)" : "best"};
}`;
}

function frame(kind: Kind): Omit<ComputeShader, "body" | "workgroupSize"> {
  const row = kind.vectors ? "vec4<f32>" : "f32";
  return {
    inputs: [`queries: ${row}`, `keys: ${row}`, "query_norms: f32", "key_norms: f32"],
    outputs: [`bests: ${kind.final ? "i32" : "Best"}`],
    numbers: NUMBERS,
    declarations: declarations(kind),
  };
}

const ROWS = 8;
const COLUMNS = 16;
const SOFTWARE_THREADS = 32;

/** Each thread holds a tile of 8 queries by 16 keys in registers. */
function registerShader(kind: Kind): ComputeShader {
  const lanes = kind.vectors ? [".x", ".y", ".z", ".w"] : [""];
  const blocks = COLUMNS / 4;
  const lines: string[] = [];
  for (const i of range(ROWS)) {
    lines.push(`let row${i} = min(first + ${i}u, numbers.queries - 1u) * length;`);
  }
  lines.push(`for (var key = begin; key < end; key += ${COLUMNS}u) {`);
  for (const j of range(COLUMNS)) {
    lines.push(`let column${j} = min(key + ${j}u, end - 1u) * length;`);
  }
  for (const i of range(ROWS)) for (const j of range(COLUMNS)) lines.push(`var c${i}_${j} = 0.0;`);
  lines.push("for (var d = 0u; d < length; d++) {");
  for (const i of range(ROWS)) lines.push(`let q${i} = queries[row${i} + d];`);
  for (const j of range(COLUMNS)) {
    lines.push("{", `let k = keys[column${j} + d];`);
    for (const lane of lanes) {
      for (const i of range(ROWS)) lines.push(`c${i}_${j} += q${i}${lane} * k${lane};`);
    }
    lines.push("}");
  }
  const products = range(ROWS * blocks).map((cell) => {
    const i = Math.floor(cell / blocks), j = 4 * (cell % blocks);
    return `vec4<f32>(${range(4).map((lane) => `c${i}_${j + lane}`)})`;
  });
  return {
    ...frame(kind),
    workgroupSize: SOFTWARE_THREADS,
    body: `
  if (index >= numbers.tiles) { return; }
  let down = (numbers.queries + ${ROWS - 1}u) / ${ROWS}u;
  let first = (index % down) * ${ROWS}u;
  let of_range = index / down;
  let begin = of_range * numbers.range_length;
  let end = min(begin + numbers.range_length, numbers.keys);
  let length = numbers.depth${kind.vectors ? " / 4u" : ""};
  var best = array<Best, ${ROWS}>(${range(ROWS).map(() => NONE)});
${lines.map((line) => `  ${line}`).join("\n")}
    }
    var products = array<vec4<f32>, ${ROWS * blocks}>(${products});
    for (var cell = 0u; cell < ${ROWS * blocks}u; cell++) {
      let i = cell / ${blocks}u;
      let query = min(first + i, numbers.queries - 1u);
      best[i] = better(best[i], query, key + 4u * (cell % ${blocks}u), products[cell], end);
    }
  }
  for (var i = 0u; i < min(${ROWS}u, numbers.queries - first); i++) {
    keep(first + i, of_range, ${kind.final ? "best[i]" : "exact_best(first + i, best[i])"});
  }`,
  };
}

/** The maximum number of keys in a range, so that its thread's loops stay within the loop budget even if all keys are
 * close. */
function longestRange(launcher: Launcher, noisy: boolean, length: number): number {
  const blocks = ROWS * COLUMNS / 4;
  const step = length + blocks * ((noisy ? 10 : length) + 2) + 3;
  const rest = ROWS * (length + 2);
  checkLoops(launcher, "nearest", step + rest);
  return Math.floor((loopBudget(launcher) - rest) / step) * COLUMNS;
}

const TILE = 64;
const DEPTH = 16;
const OWN_QUERIES = 8;
const OWN_KEYS = 4;
/** Neighbouring threads that have the same queries and share the keys. */
const BESIDE = TILE / OWN_KEYS;
const THREADS = TILE / OWN_QUERIES * BESIDE;

/** A workgroup holds a tile of 64 queries by 64 keys; each thread 8 by 4. */
function workgroupShader(kind: Kind): ComputeShader {
  const base = frame(kind);
  const { vectors } = kind;
  const operand = { contiguous: "depth", vectors } as const;
  const queries = new SharedTile(
    {
      name: "a",
      operand,
      origin: "first",
      bound: "numbers.queries",
      lines: TILE,
      own: OWN_QUERIES,
    },
    DEPTH,
    THREADS,
  );
  const keys = new SharedTile(
    {
      name: "b",
      operand,
      origin: "key",
      bound: "last",
      lines: TILE,
      own: OWN_KEYS,
    },
    DEPTH,
    THREADS,
  );
  const both = (part: (side: SharedTile) => readonly string[]) => [queries, keys].flatMap(part);
  const loader = (name: string, rows: string) => `
alias E_${name} = ${elementType("f32", vectors)};
fn line_${name}(i: u32, item: u32) -> vec4<i32> { return vec4<i32>(i32(i * numbers.depth)); }
fn load_${name}(line: vec4<i32>, k: u32) -> E_${name} {
  return ${rows}[(u32(line.x) + k)${vectors ? " / 4u" : ""}];
}`;
  const own = range(OWN_QUERIES);
  const query = (i: number) => `min(first + ${queries.line(i)}, numbers.queries - 1u)`;
  const bestOf = (i: number) => `shared_bests[${queries.line(i)} * ${BESIDE}u + my_b]`;
  const lines = [
    `let my_a = local / ${BESIDE}u;`,
    `let my_b = local % ${BESIDE}u;`,
    "let item = 0u;",
    "let end = numbers.depth;",
    ...queries.setup(),
    ...own.map((i) => `var best${i} = ${NONE};`),
    `for (var key = begin; key < last; key += ${TILE}u) {`,
    ...keys.setup(),
    ...own.map((i) => `var c${i} = vec4<f32>(0.0);`),
    "var at = 0u;",
    ...both((side) => side.fetch()),
    "while (at < end) {",
    ...both((side) => side.put()),
    "workgroupBarrier();",
    `at += ${DEPTH}u;`,
    "if (at < end) {",
    ...both((side) => side.fetch()),
    "}",
    `for (var k = 0u; k < ${DEPTH}u; k += 4u) {`,
    ...both((side) => side.openFour()),
    ...range(4).flatMap((lane) => [
      "{",
      ...both((side) => side.openOne(lane)),
      ...own.map((i) => `c${i} += a_${Math.floor(i / 4)}.${"xyzw"[i % 4]} * b_0;`),
      "}",
    ]),
    "}",
    "workgroupBarrier();",
    "}",
    ...own.map((i) =>
      `best${i} = better(best${i}, ${query(i)}, key + ${keys.line(0)}, c${i}, last);`
    ),
    "}",
    // Exact sums are only computed for keys that could be a query's best.
    ...own.map((i) => `${bestOf(i)} = best${i};`),
    "workgroupBarrier();",
    ...own.map((i) => `best${i} = contender(${query(i)}, best${i}, best_of(${queries.line(i)}));`),
    "workgroupBarrier();",
    ...own.map((i) => `${bestOf(i)} = best${i};`),
    "workgroupBarrier();",
    `if (local < ${TILE}u && first + local < numbers.queries) {`,
    `keep(first + local, of_range, best_of(local));`,
    "}",
  ];
  return {
    ...base,
    declarations: `alias V = vec4<f32>;
${queries.declaration}
${keys.declaration}
${base.declarations}
var<workgroup> shared_bests: array<Best, ${TILE * BESIDE}>;${loader("a", "queries")}${
      loader("b", "keys")
    }
fn best_of(line: u32) -> Best {
  var winner = shared_bests[line * ${BESIDE}u];
  for (var i = 1u; i < ${BESIDE}u; i++) {
    let other = shared_bests[line * ${BESIDE}u + i];
    let equal = other.similarity == winner.similarity;
    if (other.similarity > winner.similarity || (equal && other.key > winner.key)) { winner = other; }
  }
  return winner;
}
fn contender(query: u32, mine: Best, greatest: Best) -> Best {
  let norms = 2.0 * query_norms[query] + key_norms[mine.key] + key_norms[greatest.key];
  if (is_near(mine.similarity, greatest, norms)) { return exact_best(query, mine); }
  return ${NONE};
}`,
    workgroupSize: THREADS,
    body: `
  if (group >= numbers.tiles) { return; }
  let down = (numbers.queries + ${TILE - 1}u) / ${TILE}u;
  let first = (group % down) * ${TILE}u;
  let of_range = group / down;
  let begin = of_range * numbers.range_length;
  let last = min(begin + numbers.range_length, numbers.keys);
${lines.map((line) => `  ${line}`).join("\n")}`,
  };
}

// ---- launching ---------------------------------------------------------------------------------------------

function launchMerge(
  launcher: Launcher,
  partial: WebGpuBuffer,
  output: WebGpuBuffer,
  queries: number,
  ranges: number,
): void {
  launcher.launch({
    key: "nearestMerge",
    shader: () => ({
      inputs: ["bests: Best"],
      outputs: ["indices: i32"],
      numbers: ["queries: u32", "ranges: u32"],
      declarations: BEST,
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.queries) { return; }
  var winner = bests[index];
  for (var i = 1u; i < numbers.ranges; i++) {
    let other = bests[i * numbers.queries + index];
    if (other.similarity >= winner.similarity && other.key > 0u) { winner = other; }
  }
  indices[index] = i32(winner.key);`,
    }),
    inputs: [partial],
    outputs: [output],
    numbers: [queries, ranges],
    workgroups: workgroupsFor(queries),
  });
}

/** The nearest-code kernel. */
export function nearestKernels(
  launcher: Launcher,
): { readonly nearest: Kernel<Attributes["nearest"], WebGpuBuffer> } {
  return {
    nearest: ([queries, keys], [output], { distance, noise }) => {
      const [count, depth] = queries.shape;
      const [candidates] = keys.shape;
      const { isSoftware } = launcher;
      const q = prepareRows(launcher, queries, distance, 0);
      const k = prepareRows(launcher, keys, distance, 2);
      const step = isSoftware ? COLUMNS : TILE;
      const down = Math.ceil(count / (isSoftware ? ROWS : TILE));
      const wanted = Math.min(
        Math.ceil(512 / down),
        Math.ceil(candidates / ((isSoftware ? 4 : 2) * step)),
      );
      const vectors = depth % 4 === 0;
      const noisy = noise !== undefined;
      const length = Math.min(
        Math.ceil(candidates / wanted / step) * step,
        longestRange(launcher, noisy, vectors ? depth / 4 : depth),
      );
      const ranges = Math.ceil(candidates / length);
      const final = ranges === 1;
      const target = final ? output.buffer : launcher.scratch(4, ranges * count * 8);
      const kind: Kind = { noisy, vectors, final };
      launcher.launch({
        key: `nearest/${noisy}/${vectors}/${final}`,
        shader: () => isSoftware ? registerShader(kind) : workgroupShader(kind),
        inputs: [q.rows, k.rows, q.norms, k.norms],
        outputs: [target],
        numbers: [
          count,
          candidates,
          depth,
          ranges,
          length,
          down * ranges,
          floatBits(distance === "l2" ? 2 : 1),
          floatBits(distance === "l2" ? 0 : 1),
          floatBits((depth + 4) * 2 ** -24),
          0,
          ...keyNumbers(noise ?? { seed: 0, stream: 0, step: 0 }),
        ],
        workgroups: isSoftware ? workgroupsFor(down * ranges, SOFTWARE_THREADS) : down * ranges,
      });
      if (!final) launchMerge(launcher, target, output.buffer, count, ranges);
    },
  };
}
