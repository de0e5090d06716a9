/** Attention and its gradients, tile by tile in workgroup memory.
 *
 * A workgroup takes a block of rows of one head and walks over tiles of its columns. It multiplies rows and columns to
 * get a tile of logits, converts them to weights, and adds the weighted columns to a sum for each row. The rows are
 * queries and the columns keys; for the gradients of keys and values it is the other way round. In the forward pass,
 * the largest logit of a row so far is subtracted, and the sum is rescaled when a larger one comes (arXiv 2205.14135).
 * In the backward pass, the weights are recomputed from the saved logarithms of the sums.
 *
 * The threads of a row find its largest logit in workgroup memory or, within subgroups, by exchanging their own. WGSL does
 * not say which threads form a subgroup, so each workgroup first checks that neighbours do. A maximum is the same in every
 * order, so the results do not depend on this.
 */
import { floatFunctions } from "../float_functions.ts";
import type { ComputeShader, Launcher } from "../launch.ts";
import { each, LANES, range } from "../unrolled.ts";

/** How a workgroup shares a tile: thread (y, x) handles the rows y, y + down, … and the columns x, x + across, … */
export interface Tile {
  /** The number of threads in a column and in a row. */
  readonly down: number;
  readonly across: number;
  /** Rows of a thread, a multiple of 4; its columns are four. */
  readonly own: number;
}

/** How many vectors of the width are multiplied at a time, and the row pitch, with a gap that avoids bank conflicts. */
export const DEPTH = 4;
const PITCH = DEPTH + 1;

/** What is computed: the output, or a gradient. */
export type TileKind = "forward" | "queries" | "keys" | "values";

/** How a shader is specialised. */
export interface TileShape {
  readonly kind: TileKind;
  readonly tile: Tile;
  /** How many vectors of four a thread sums for each row; see `accumulate`. */
  readonly sums: number;
  /** Whether rows are read four elements at a time. */
  readonly vectors: boolean;
  /** Whether there is a number of visible keys for each query. */
  readonly masked: boolean;
  /** How many neighbouring threads of a row may exchange their values in a subgroup, a power of two; 1 if none. */
  readonly exchange: number;
}

/** The software adapter's vectors have eight threads. A narrow head keeps only few neighbouring threads busy. */
export function tileFor({ isSoftware }: Pick<Launcher, "isSoftware">, width: number): Tile {
  if (isSoftware) return { down: 1, across: 8, own: 4 };
  return width <= 32 ? { down: 16, across: 8, own: 4 } : { down: 8, across: 16, own: 4 };
}

/** WGSL that loads four elements of a row of a tensor; zeros beyond the width. */
function loader(name: string, vectors: boolean): string {
  const one = (lane: number) =>
    `select(0.0, ${name}[row * width + min(4u * d + ${lane}u, width - 1u)], 4u * d + ${lane}u < width)`;
  const value = vectors
    ? `select(vec4<f32>(0.0), ${name}[row * width / 4u + min(d, width / 4u - 1u)], 4u * d < width)`
    : `vec4<f32>(${range(4).map(one)})`;
  return `fn load_${name}(row: u32, d: u32) -> vec4<f32> {
  let width = numbers.width;
  return ${value};
}`;
}

/** Statements that add the products of two tensors' rows to `${sum}0`, `${sum}1`, …, four columns each. */
function multiply(sum: string, rows: string, columns: string, { tile }: TileShape): string {
  const { down, across, own } = tile;
  const threads = down * across;
  const bring = (to: string, name: string, count: number, origin: string, bound: string) => `
    for (var part = local; part < ${count * DEPTH}u; part += ${threads}u) {
      let row = min(${origin} + part / ${DEPTH}u, numbers.${bound} - 1u);
      ${to}[part / ${DEPTH}u * ${PITCH}u + part % ${DEPTH}u] =
        load_${name}((batch * numbers.${bound} + row) * numbers.heads + head, d + part % ${DEPTH}u);
    }`;
  return `
    ${each(own, (i) => `var ${sum}${i} = vec4<f32>(0.0);`)}
    for (var d = 0u; 4u * d < numbers.width; d += ${DEPTH}u) {
    workgroupBarrier();
    ${bring("tile_rows", rows, down * own, "first_row", "rows")}
    ${bring("tile_columns", columns, across * 4, "first", "columns")}
    workgroupBarrier();
    for (var at = 0u; at < ${DEPTH}u; at++) {
      ${each(4, (j) => `let b${j} = tile_columns[(x + ${j * across}u) * ${PITCH}u + at];`)}
      ${
    each(own, (i) =>
      `{
        let a = tile_rows[(y + ${i * down}u) * ${PITCH}u + at];
        ${sum}${i} += vec4<f32>(${range(4).map((j) => `dot(a, b${j})`)});
      }`)
  }
    }
    }`;
}

/** The offset of a thread's weights of row i, or of those of its neighbour `t`. */
const weightsAt = ({ tile: { down, across } }: TileShape, i: number, t = "x"): string =>
  `weights[(y + ${i * down}u) * ${across}u + ${t}]`;

/** WGSL: `exchange_max(x)`, the largest x of a thread and its neighbours, and `is_beside(local)`, whether those are the
 * threads that it exchanges with. */
function exchangeText({ exchange }: TileShape): string {
  const masks = range(Math.log2(exchange)).map((bit) => `${2 ** bit}u`);
  const isBeside = (mask: string) => `(subgroupShuffleXor(local, ${mask}) == (local ^ ${mask}))`;
  return `
var<workgroup> apart: atomic<u32>;
var<workgroup> stride: u32;
fn is_beside(local: u32) -> bool { return ${masks.map(isBeside).join(" & ")}; }
fn exchange_max(x: f32) -> f32 {
  var most = x;
  ${masks.map((mask) => `most = max(most, subgroupShuffleXor(most, ${mask}));`).join("\n  ")}
  return most;
}`;
}

/** Statements that find how far apart the threads of a row are that still have different values after an exchange. */
const findStep = ({ exchange }: TileShape): string => `
  if (!is_beside(local)) { atomicStore(&apart, 1u); }
  workgroupBarrier();
  if (local == 0u) { stride = select(1u, ${exchange}u, atomicLoad(&apart) == 0u); }
  let step = workgroupUniformLoad(&stride);`;

/** Statements of the forward pass that bring the rows' largest logits, now0, now1, …, to all threads of a row. */
function shareGreatest(shape: TileShape): string {
  const { tile: { across, own }, exchange } = shape;
  const inMemory = (step: string) => `
    ${each(own, (i) => `${weightsAt(shape, i)} = vec4<f32>(now${i});`)}
    workgroupBarrier();
    for (var t = 0u; t < ${across}u; t += ${step}) {
      ${each(own, (i) => `now${i} = max(now${i}, ${weightsAt(shape, i, "t")}.x);`)}
    }
    workgroupBarrier();`;
  if (exchange === 1) return inMemory("1u");
  return `
    if (step > 1u) {
    ${each(own, (i) => `now${i} = exchange_max(now${i});`)}
    }
    if (step < ${across}u) {${inMemory("step")}
    }`;
}

/** Statements of the forward pass that convert the logits s to weights and rescale the sums so far. */
function weighForward(shape: TileShape): string {
  const { tile: { own }, sums } = shape;
  const fours = range(own / 4);
  const lanes = (text: (i: number) => string, four: number) =>
    `vec4<f32>(${range(4).map((lane) => text(4 * four + lane))})`;
  return `
    ${
    each(own, (i) => `
    let seen${i} = columns_here < vec4<i32>(limit(row${i}));
    s${i} = select(vec4<f32>(LOWEST), s${i} * numbers.scale, seen${i});
    var now${i} = max(greatest${i}, max(max(s${i}.x, s${i}.y), max(s${i}.z, s${i}.w)));`)
  }
    ${shareGreatest(shape)}
    ${
    fours.map((four) =>
      `let factors${four} = exponential(${lanes((i) => `greatest${i} - now${i}`, four)});`
    ).join("\n")
  }
    ${
    each(own, (i) =>
      `{
      let factor = factors${Math.floor(i / 4)}.${LANES[i % 4]};
      let powers = select(vec4<f32>(0.0), exponential(s${i} - vec4<f32>(now${i})), seen${i});
      ${weightsAt(shape, i)} = powers;
      weight_sum${i} = weight_sum${i} * factor + dot(powers, vec4<f32>(1.0));
      greatest${i} = now${i};
      ${each(sums, (c) => `sum${i}_${c} *= factor;`)}
    }`)
  }`;
}

/** Statements of the backward pass that compute weights from the logits s and from p, the products of the gradient with
 * the values. */
function weighBackward(shape: TileShape): string {
  const { kind, tile: { own } } = shape;
  const place = (query: string) =>
    `(batch * numbers.${
      kind === "queries" ? "rows" : "columns"
    } + ${query}) * numbers.heads + head`;
  const slope = (i: number, totals: string) =>
    kind === "values" ? "" : ` * (p${i} - ${totals}) * numbers.scale`;
  const weigh = (i: number, l: string, totals: string, seen: string) =>
    `{
      let powers = exponential(s${i} * numbers.scale - ${l});
      ${weightsAt(shape, i)} = select(vec4<f32>(0.0), powers${slope(i, totals)}, ${seen});
    }`;
  if (kind === "queries") {
    return each(own, (i) =>
      `{
      let at = ${place(`min(row${i}, numbers.rows - 1u)`)};
      let seen = columns_here < vec4<i32>(limit(row${i}));
      ${weigh(i, "vec4<f32>(logsumexps[at])", "vec4<f32>(totals[at])", "seen")}
    }`);
  }
  const lanes = (type: string, text: (query: string) => string) =>
    `vec4<${type}>(${range(4).map((j) => text(`query.${LANES[j]}`))})`;
  return `
    let query = min(vec4<u32>(columns_here), vec4<u32>(numbers.columns - 1u));
    let l = ${lanes("f32", (query) => `logsumexps[${place(query)}]`)};
    ${kind === "keys" ? `let d = ${lanes("f32", (query) => `totals[${place(query)}]`)};` : ""}
    let limits = select(vec4<i32>(0), ${lanes("i32", (query) => `limit(${query})`)}, exists);
    ${each(own, (i) => weigh(i, "l", "d", `vec4<i32>(i32(row${i})) < limits`))}`;
}

/** Statements that add the weighted columns to the sums: thread x handles the vectors x, x + across, … of the width. */
function accumulate(shape: TileShape, weighed: string): string {
  const { tile: { across, own }, sums } = shape;
  return `
    workgroupBarrier();
    for (var t = 0u; t < ${across}u; t++) {
      ${each(own, (i) => `var w${i} = ${weightsAt(shape, i, "t")};`)}
      for (var j = 0u; j < 4u; j++) {
        let column = min(first + j * ${across}u + t, numbers.columns - 1u);
        let at = (batch * numbers.columns + column) * numbers.heads + head;
        ${
    each(sums, (c) =>
      `{
          let value = load_${weighed}(at, x + ${c * across}u);
          ${each(own, (i) => `sum${i}_${c} += w${i}[j] * value;`)}
        }`)
  }
      }
    }`;
}

/** Statements that write the rows' sums; in the forward pass divided by the sums of the weights. */
function finish(shape: TileShape): string {
  const { kind, sums, vectors, tile: { across, own } } = shape;
  const divide = `
  workgroupBarrier();
  ${each(own, (i) => `${weightsAt(shape, i)} = vec4<f32>(weight_sum${i}); weight_sum${i} = 0.0;`)}
  workgroupBarrier();
  for (var t = 0u; t < ${across}u; t++) {
    ${each(own, (i) => `weight_sum${i} += ${weightsAt(shape, i, "t")}.x;`)}
  }
  ${
    each(own, (i) => `
  let none${i} = weight_sum${i} == 0.0;
  if (x == 0u && row${i} < numbers.rows) {
    let l = vec4<f32>(greatest${i}) + logarithm(vec4<f32>(weight_sum${i}));
    logsumexps[(batch * numbers.rows + row${i}) * numbers.heads + head] = select(l.x, 0.0, none${i});
  }
  let share${i} = select(1.0 / weight_sum${i}, 0.0, none${i});`)
  }`;
  const store = (i: number, c: number) => {
    const value = `sum${i}_${c}${kind === "forward" ? ` * share${i}` : ""}`;
    const d = `x + ${c * across}u`;
    if (vectors) return `if (4u * (${d}) < width) { out[at * width / 4u + ${d}] = ${value}; }`;
    return `{ let value = ${value}; ${
      each(4, (lane) => {
        const element = `4u * (${d}) + ${lane}u`;
        return `if (${element} < width) { out[at * width + ${element}] = value.${LANES[lane]}; }`;
      })
    } }`;
  };
  return `${kind === "forward" ? divide : ""}
  let width = numbers.width;
  ${
    each(own, (i) =>
      `if (row${i} < numbers.rows) {
    let at = (batch * numbers.rows + row${i}) * numbers.heads + head;
    ${each(sums, (c) => store(i, c))}
  }`)
  }`;
}

/** The tensors of a shader: those for the logits, those for the products of the gradient with the values, and the one
 * that is weighted. */
interface Names {
  readonly bound: readonly string[];
  readonly weighed: string;
}

const NAMES: Readonly<Record<TileKind, Names>> = {
  forward: { bound: ["rows", "columns", "weighed"], weighed: "weighed" },
  queries: { bound: ["rows", "columns", "other_rows", "other_columns"], weighed: "columns" },
  keys: { bound: ["rows", "columns", "other_rows", "other_columns"], weighed: "columns" },
  values: { bound: ["rows", "columns", "weighed"], weighed: "weighed" },
};

/** The shader of a kind. Its workgroups are numbered by heads, then by blocks of rows. */
export function tileShader(shape: TileShape): ComputeShader {
  const { kind, tile, sums, vectors, masked, exchange } = shape;
  const exchanges = kind === "forward" && exchange > 1;
  const { down, across, own } = tile;
  const { bound, weighed } = NAMES[kind];
  const byQueries = kind === "forward" || kind === "queries";
  const [queries, keys] = byQueries ? ["rows", "columns"] : ["columns", "rows"];
  const element = vectors ? "vec4<f32>" : "f32";
  const kept = kind === "forward"
    ? []
    : kind === "values"
    ? ["logsumexps: f32"]
    : ["logsumexps: f32", "totals: f32"];
  const begin = byQueries ? "0u" : "u32(max(i32(first_row) + 1 - numbers.ahead, 0))";
  const end = byQueries
    ? `u32(clamp(i32(first_row) + ${down * own - 1} + numbers.ahead, 0, i32(numbers.columns)))`
    : "numbers.columns";
  return {
    subgroups: exchanges,
    inputs: [
      ...bound.map((name) => `${name}: ${element}`),
      ...kept,
      ...masked ? ["visible: i32"] : [],
    ],
    outputs: [`out: ${element}`, ...kind === "forward" ? ["logsumexps: f32"] : []],
    numbers: [
      "rows: u32",
      "columns: u32",
      "heads: u32",
      "width: u32",
      "ahead: i32", // a query sees the keys whose index is below its own index plus this
      "blocks: u32",
      "groups: u32",
      "scale: f32",
    ],
    declarations: `${floatFunctions(4, ["exponential", "logarithm"])}
const LOWEST = -3.4028234e38;
var<workgroup> tile_rows: array<vec4<f32>, ${down * own * PITCH}>;
var<workgroup> tile_columns: array<vec4<f32>, ${across * 4 * PITCH}>;
var<workgroup> weights: array<vec4<f32>, ${down * own * across}>;
${bound.map((name) => loader(name, vectors)).join("\n")}${exchanges ? exchangeText(shape) : ""}
fn limit(query: u32) -> i32 {
  var most = min(i32(numbers.${keys}), i32(query) + numbers.ahead);
  ${masked ? `most = min(most, visible[min(query, numbers.${queries} - 1u)]);` : ""}
  return most;
}`,
    workgroupSize: down * across,
    body: `
  if (group >= numbers.groups) { return; }
  let item = group / numbers.blocks;
  let batch = item / numbers.heads;
  let head = item % numbers.heads;
  let first_row = (group % numbers.blocks) * ${down * own}u;
  let y = local / ${across}u;
  let x = local % ${across}u;
  ${
      each(own, (i) =>
        `let row${i} = first_row + y + ${i * down}u;
  ${each(sums, (c) => `var sum${i}_${c} = vec4<f32>(0.0);`)}
  ${kind === "forward" ? `var greatest${i} = LOWEST; var weight_sum${i} = 0.0;` : ""}`)
    }
  ${exchanges ? findStep(shape) : ""}
  let end = ${end};
  for (var first = ${begin}; first < end; first += ${4 * across}u) {
    let columns_here = vec4<i32>(i32(first + x)) + vec4<i32>(0, ${across}, ${2 * across}, ${
      3 * across
    });
    let exists = columns_here < vec4<i32>(i32(numbers.columns));
    ${multiply("s", "rows", "columns", shape)}
    ${bound.includes("other_rows") ? multiply("p", "other_rows", "other_columns", shape) : ""}
    ${kind === "forward" ? weighForward(shape) : weighBackward(shape)}
    ${accumulate(shape, weighed)}
  }
  ${finish(shape)}`,
  };
}
