/** The nearest-code kernel: for every query the most similar key, tile by tile, never the matrix of similarities.
 *
 * A similarity is (nq + nk) + factor·(q·k): with the negated squared norms and 2 for l2, with zeros and 1 for the
 * cosine of normalised rows. One pass over the rows prepares those; then each tile of queries walks through a range
 * of keys and keeps its best; where several ranges share the queries, their bests are merged in order. A best is a
 * pair (ordered word, index); NONE is under every number's word, so that NaN never wins, and the later key does
 * among equals.
 */
import type { Attributes, Distance } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { floatFunctions } from "../float_functions.ts";
import {
  type ComputeShader,
  floatBits,
  type Launcher,
  WORKGROUP_SIZE,
  workgroupsFor,
} from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { GUMBEL, KEY_NUMBERS, keyNumbers, PHILOX } from "../philox.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** How a launch is specialised. */
interface Kind {
  readonly noisy: boolean;
  /** Whether rows are read four elements at a time. */
  readonly vectors: boolean;
  /** Whether this launch writes indices, not partial bests. */
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
  ...KEY_NUMBERS,
];

const NONE = "vec2<u32>(1u, 0u)";

function element(vectors: boolean): string {
  return vectors ? "vec4<f32>" : "f32";
}

/** Rows as they are multiplied, and each one's norm in the similarity. */
interface Prepared {
  readonly rows: WebGpuBuffer;
  readonly norms: WebGpuBuffer;
}

// Rounded once: a square is that of the number's upper half, which is exact, and a rest; the rests and what the sum
// loses are added apart.
const SQUARED_NORM = `
fn squared_norm(begin: u32, end: u32) -> f32 {
  var sum = 0.0;
  var rest = 0.0;
  for (var at = begin; at < end; at++) {
    let x = rows[at];
    let upper = bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
    let lower = x - upper;
    let square = upper * upper;
    let longer = sum + square;
    let added = longer - sum;
    rest += (sum - (longer - added)) + (square - added);
    rest += (2.0 * upper + lower) * lower;
    sum = longer;
  }
  return sum + rest;
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
      numbers: ["count: u32", "depth: u32"],
      workgroupSize: WORKGROUP_SIZE,
      declarations: SQUARED_NORM,
      body: `
  if (index >= numbers.count) { return; }
  let begin = index * numbers.depth;
  let end = begin + numbers.depth;
  let square = squared_norm(begin, end);
  ${
        cosine
          ? `norms[index] = 0.0;
  let norm = max(sqrt(square), 1e-12);
  for (var at = begin; at < end; at++) { normalized[at] = rows[at] / norm; }`
          : "norms[index] = -square;"
      }`,
    }),
    inputs: [buffer],
    outputs: cosine ? [norms, rows] : [norms],
    numbers: [count, depth],
    workgroups: workgroupsFor(count),
  });
  return { rows, norms };
}

// The better of a best and a key's similarity to a query, and where a query's best goes.
function declarations({ noisy, final }: Kind): string {
  return [
    floatFunctions(1, noisy ? ["ordered", "logarithm"] : ["ordered"]),
    noisy ? PHILOX + GUMBEL : "",
    `fn better(best: vec2<u32>, key: u32, similarity: f32) -> vec2<u32> {
  let word = select(ordered(similarity), 0u, is_nan(similarity));
  return select(best, vec2<u32>(word, key), word >= best.x);
}
fn keep(query: u32, of_range: u32, best: vec2<u32>) {
  bests[of_range * numbers.queries + query] = ${final ? "i32(best.y)" : "best"};
}`,
  ].join("\n");
}

function frame(kind: Kind): Omit<ComputeShader, "body" | "workgroupSize"> {
  return {
    inputs: [
      `queries: ${element(kind.vectors)}`,
      `keys: ${element(kind.vectors)}`,
      "query_norms: f32",
      "key_norms: f32",
    ],
    outputs: [`bests: ${kind.final ? "i32" : "vec2<u32>"}`],
    numbers: NUMBERS,
    declarations: declarations(kind),
  };
}

const ROWS = 8;
const COLUMNS = 16;
const SOFTWARE_THREADS = 32;

/** Each thread holds a tile of 8 queries by 16 keys in registers. */
function registerShader(kind: Kind): ComputeShader {
  const { noisy, vectors } = kind;
  const lines: string[] = [];
  for (const i of range(ROWS)) {
    lines.push(
      `let query${i} = min(first + ${i}u, numbers.queries - 1u);`,
      `let row${i} = query${i} * length;`,
      `let norm${i} = query_norms[query${i}];`,
      `var best${i} = ${NONE};`,
    );
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
    for (const lane of vectors ? [".x", ".y", ".z", ".w"] : [""]) {
      for (const i of range(ROWS)) lines.push(`c${i}_${j} += q${i}${lane} * k${lane};`);
    }
    lines.push("}");
  }
  lines.push("}");
  for (const block of range(COLUMNS / 4)) {
    if (noisy) {
      for (const i of range(ROWS)) {
        lines.push(`let words${i}_${block} = random_words(key / 4u + ${block}u, query${i});`);
      }
    }
    for (const lane of range(4)) {
      const j = block * 4 + lane;
      lines.push(`if (key + ${j}u < end) {`, `let norm = key_norms[key + ${j}u];`);
      for (const i of range(ROWS)) {
        const noise = noisy ? ` + gumbel(words${i}_${block}.${"xyzw"[lane]})` : "";
        const similarity = `(norm${i} + norm) + numbers.factor * c${i}_${j}${noise}`;
        lines.push(`best${i} = better(best${i}, key + ${j}u, ${similarity});`);
      }
      lines.push("}");
    }
  }
  lines.push("}");
  for (const i of range(ROWS)) {
    lines.push(`if (first + ${i}u < numbers.queries) { keep(query${i}, of_range, best${i}); }`);
  }
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
  let length = numbers.depth${vectors ? " / 4u" : ""};
${lines.map((line) => `  ${line}`).join("\n")}`,
  };
}

const TILE = 64;
const DEPTH = 16;

/** A workgroup of 256 threads holds a tile of 64 queries by 64 keys; each thread 4 by 4. */
function workgroupShader(kind: Kind): ComputeShader {
  const base = frame(kind);
  const noise = kind.noisy ? " + gumbel(random_words((key + my_key) / 4u, query)[j])" : "";
  const four = (name: string, at: string) =>
    `vec4<f32>(${range(4).map((i) => `tile_${name}[d * ${TILE}u + ${at} + ${i}u]`)})`;
  const fill = (name: string, from: string, bound: string) => `
    for (var turn = 0u; turn < 4u; turn++) {
      let line = local / ${DEPTH}u + turn * 16u;
      let d = at + local % ${DEPTH}u;
      let value = ${name}[min(${from} + line, ${bound} - 1u) * numbers.depth + min(d, numbers.depth - 1u)];
      tile_${name}[(local % ${DEPTH}u) * ${TILE}u + line] = select(0.0, value, d < numbers.depth);
    }`;
  return {
    ...base,
    declarations: `var<workgroup> tile_queries: array<f32, ${DEPTH * TILE}>;
var<workgroup> tile_keys: array<f32, ${DEPTH * TILE}>;
var<workgroup> shared_bests: array<vec2<u32>, ${TILE * 16}>;
${base.declarations}`,
    workgroupSize: 256,
    body: `
  if (group >= numbers.tiles) { return; }
  let down = (numbers.queries + ${TILE - 1}u) / ${TILE}u;
  let first = (group % down) * ${TILE}u;
  let of_range = group / down;
  let begin = of_range * numbers.range_length;
  let end = min(begin + numbers.range_length, numbers.keys);
  let my_query = (local / 16u) * 4u;
  let my_key = (local % 16u) * 4u;
  var best = array<vec2<u32>, 4>(${range(4).map(() => NONE)});
  for (var key = begin; key < end; key += ${TILE}u) {
    var c = array<vec4<f32>, 4>();
    for (var at = 0u; at < numbers.depth; at += ${DEPTH}u) {
${fill("queries", "first", "numbers.queries")}
${fill("keys", "key", "end")}
      workgroupBarrier();
      for (var d = 0u; d < ${DEPTH}u; d++) {
        let left = ${four("queries", "my_query")};
        let right = ${four("keys", "my_key")};
        c[0] += left.x * right;
        c[1] += left.y * right;
        c[2] += left.z * right;
        c[3] += left.w * right;
      }
      workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
      let query = min(first + my_query + i, numbers.queries - 1u);
      for (var j = 0u; j < 4u; j++) {
        let candidate = key + my_key + j;
        if (candidate >= end) { continue; }
        let norms = query_norms[query] + key_norms[candidate];
        best[i] = better(best[i], candidate, norms + numbers.factor * c[i][j]${noise});
      }
    }
  }
  for (var i = 0u; i < 4u; i++) {
    shared_bests[(my_query + i) * 16u + local % 16u] = best[i];
  }
  workgroupBarrier();
  if (local < ${TILE}u && first + local < numbers.queries) {
    var winner = shared_bests[local * 16u];
    for (var i = 1u; i < 16u; i++) {
      let other = shared_bests[local * 16u + i];
      if (other.x > winner.x || (other.x == winner.x && other.y > winner.y)) { winner = other; }
    }
    keep(first + local, of_range, winner);
  }`,
  };
}

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
      inputs: ["bests: vec2<u32>"],
      outputs: ["indices: i32"],
      numbers: ["queries: u32", "ranges: u32"],
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.queries) { return; }
  var winner = bests[index];
  for (var i = 1u; i < numbers.ranges; i++) {
    let other = bests[i * numbers.queries + index];
    if (other.x >= winner.x) { winner = other; }
  }
  indices[index] = i32(winner.y);`,
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
        Math.ceil((isSoftware ? 512 : 256) / down),
        Math.ceil(candidates / (4 * step)),
      );
      const length = Math.ceil(candidates / wanted / step) * step;
      const ranges = Math.ceil(candidates / length);
      const final = ranges === 1;
      const target = final ? output.buffer : launcher.scratch(4, ranges * count * 8);
      const kind: Kind = {
        noisy: noise !== undefined,
        vectors: isSoftware && depth % 4 === 0,
        final,
      };
      launcher.launch({
        key: `nearest/${kind.noisy}/${kind.vectors}/${final}`,
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
          ...keyNumbers(noise ?? { seed: 0, stream: 0, step: 0 }),
        ],
        workgroups: isSoftware ? workgroupsFor(down * ranges, SOFTWARE_THREADS) : down * ranges,
      });
      if (!final) launchMerge(launcher, target, output.buffer, count, ranges);
    },
  };
}
