/** The nearest-code kernel: for every query the most similar key, tile by tile, never the matrix of similarities.
 *
 * A pass over the keys prepares each one's part of the similarity (−‖k‖²/2, or 1/‖k‖); then each tile of queries
 * walks through a range of keys and keeps its best; where several ranges share the queries, their bests are merged
 * in order. Bests are compared as (ordered word, index), so that ties go to the lowest index and NaN never wins.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { floatFunctions } from "../float_functions.ts";
import { type ComputeShader, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { GUMBEL, KEY_NUMBERS, keyNumbers, PHILOX } from "../philox.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** How a launch is specialised. */
interface Kind {
  readonly distance: "l2" | "cos";
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
  ...KEY_NUMBERS,
];

function element(vectors: boolean): string {
  return vectors ? "vec4<f32>" : "f32";
}

// Each row's part of the similarity.
function launchRowParts(
  launcher: Launcher,
  rows: View<WebGpuBuffer>,
  output: WebGpuBuffer,
  part: "halfSquare" | "inverseNorm",
): void {
  const [count, depth] = rows.shape;
  launcher.launch({
    key: `nearestRows/${part}`,
    shader: () => ({
      inputs: ["rows: f32"],
      outputs: ["parts: f32"],
      numbers: ["count: u32", "depth: u32"],
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.count) { return; }
  var square = 0.0;
  for (var d = 0u; d < numbers.depth; d++) {
    let value = rows[index * numbers.depth + d];
    square += value * value;
  }
  parts[index] = ${part === "halfSquare" ? "-0.5 * square" : "1.0 / max(sqrt(square), 1e-12)"};`,
    }),
    inputs: [rows.buffer],
    outputs: [output],
    numbers: [count, depth],
    workgroups: workgroupsFor(count),
  });
}

// The similarity up to a term that all keys share, and the better of two bests.
function declarations({ distance, noisy, final }: Kind): string {
  const plain = distance === "l2" ? "product + key_part" : "product * key_part";
  const scaled = distance === "l2" ? `2.0 * (${plain})` : `${plain} * query_part`;
  return [
    floatFunctions(1, noisy ? ["ordered", "logarithm"] : ["ordered"]),
    noisy ? PHILOX + GUMBEL : "",
    `fn rank(similarity: f32) -> u32 { return select(ordered(similarity), 0u, is_nan(similarity)); }
fn similarity(product: f32, query_part: f32, key_part: f32, noise: f32) -> f32 {
  return ${noisy ? `${scaled} + noise` : plain};
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
      "key_parts: f32",
      ...(kind.noisy && kind.distance === "cos" ? ["query_parts: f32"] : []),
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
  const { noisy, vectors, distance } = kind;
  const queryPart = noisy && distance === "cos";
  const lines: string[] = [];
  for (const i of range(ROWS)) {
    lines.push(
      `let query${i} = min(first + ${i}u, numbers.queries - 1u);`,
      `let row${i} = query${i} * length;`,
      `var best${i} = vec2<u32>(0u, begin);`,
      `let query_part${i} = ${queryPart ? `query_parts[query${i}]` : "0.0"};`,
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
    for (const i of range(ROWS)) {
      lines.push(`c${i}_${j} += ${vectors ? `dot(q${i}, k)` : `q${i} * k`};`);
    }
    lines.push("}");
  }
  lines.push("}");
  for (const block of range(COLUMNS / 4)) {
    if (noisy) {
      for (const i of range(ROWS)) {
        lines.push(
          `let words${i}_${block} = random_words(key / 4u + ${block}u, query${i});`,
        );
      }
    }
    for (const lane of range(4)) {
      const j = block * 4 + lane;
      lines.push(`if (key + ${j}u < end) {`, `let part = key_parts[key + ${j}u];`);
      for (const i of range(ROWS)) {
        const noise = noisy ? `gumbel(words${i}_${block}.${"xyzw"[lane]})` : "0.0";
        lines.push(
          `{ let word = rank(similarity(c${i}_${j}, query_part${i}, part, ${noise}));`,
          `best${i} = select(best${i}, vec2<u32>(word, key + ${j}u), word > best${i}.x); }`,
        );
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
  const { noisy, distance } = kind;
  const base = frame({ ...kind, vectors: false });
  const queryPart = noisy && distance === "cos" ? "query_parts[query]" : "0.0";
  const noise = noisy ? `gumbel(random_words((key + my_key) / 4u, query)[j])` : "0.0";
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
  var best = array<vec2<u32>, 4>(
    vec2<u32>(0u, begin), vec2<u32>(0u, begin), vec2<u32>(0u, begin), vec2<u32>(0u, begin),
  );
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
        let word = rank(similarity(c[i][j], ${queryPart}, key_parts[candidate], ${noise}));
        if (word > best[i].x) { best[i] = vec2<u32>(word, candidate); }
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
      if (other.x > winner.x || (other.x == winner.x && other.y < winner.y)) { winner = other; }
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
    if (other.x > winner.x) { winner = other; }
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
      const keyParts = launcher.scratch(0, candidates * 4);
      launchRowParts(launcher, keys, keyParts, distance === "l2" ? "halfSquare" : "inverseNorm");
      const parts = [keyParts];
      if (noise !== undefined && distance === "cos") {
        const queryParts = launcher.scratch(1, count * 4);
        launchRowParts(launcher, queries, queryParts, "inverseNorm");
        parts.push(queryParts);
      }
      const step = isSoftware ? COLUMNS : TILE;
      const down = Math.ceil(count / (isSoftware ? ROWS : TILE));
      const wanted = Math.min(
        Math.ceil((isSoftware ? 512 : 256) / down),
        Math.ceil(candidates / (4 * step)),
      );
      const length = Math.ceil(candidates / wanted / step) * step;
      const ranges = Math.ceil(candidates / length);
      const final = ranges === 1;
      const target = final ? output.buffer : launcher.scratch(2, ranges * count * 8);
      const kind: Kind = {
        distance,
        noisy: noise !== undefined,
        vectors: isSoftware && depth % 4 === 0,
        final,
      };
      launcher.launch({
        key: `nearest/${distance}/${kind.noisy}/${kind.vectors}/${final}`,
        shader: () => isSoftware ? registerShader(kind) : workgroupShader(kind),
        inputs: [queries.buffer, keys.buffer, ...parts],
        outputs: [target],
        numbers: [
          count,
          candidates,
          depth,
          ranges,
          length,
          down * ranges,
          ...keyNumbers(noise ?? { seed: 0, stream: 0, step: 0 }),
        ],
        workgroups: isSoftware ? workgroupsFor(down * ranges, SOFTWARE_THREADS) : down * ranges,
      });
      if (!final) launchMerge(launcher, target, output.buffer, count, ranges);
    },
  };
}
