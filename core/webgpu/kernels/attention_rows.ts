/** Attention and its gradients in registers, for adapters whose workgroup memory is as slow as their memory.
 *
 * A thread takes a few rows of one head and walks over the columns. It keeps its rows and their sums in registers,
 * unrolled over the width, and reads the columns directly from memory. The rows are queries and the columns keys; for
 * the gradients of keys and values it is the other way round. In the forward pass, the largest logit of a row so far is
 * subtracted, and the sum is rescaled when a larger one comes (arXiv 2205.14135). In the backward pass, the weights are
 * recomputed from the saved logarithms of the sums.
 */
import { floatFunctions } from "../float_functions.ts";
import type { ComputeShader } from "../launch.ts";
import { each, LANES, range } from "../unrolled.ts";

/** The number of threads per workgroup: the vector width of the adapter. */
export const ROW_THREADS = 8;

/** What is computed: the output, the gradient of the queries, or the gradients of keys and values. */
export type RowKind = "forward" | "queries" | "keys";

/** How a shader is specialised. */
export interface RowShape {
  readonly kind: RowKind;
  /** The rows of a thread. */
  readonly rows: number;
  /** The width of a head. */
  readonly width: number;
  /** Whether there is a number of visible keys for each query. */
  readonly masked: boolean;
}

/** The tensors that a kind of shader uses. */
interface Tensors {
  /** All of them; the first two are the rows and the columns. */
  readonly bound: readonly string[];
  /** The tensors of which a thread keeps rows. The first is multiplied by the scale. */
  readonly kept: readonly string[];
  /** The products of a row and a column: the logits s and, backward, p, the gradient times the values. */
  readonly products: Readonly<Record<string, readonly [string, string]>>;
  /** The sums of weighted columns, by the name of the weights; and what they are multiplied by at the end. */
  readonly sums: Readonly<
    Record<string, { readonly of: string; readonly factor?: string }>
  >;
}

const TENSORS: Readonly<Record<RowKind, Tensors>> = {
  forward: {
    bound: ["q", "k", "v"],
    kept: ["q"],
    products: { s: ["q", "k"] },
    sums: { s: { of: "v", factor: "share" } },
  },
  queries: {
    bound: ["q", "k", "g", "v"],
    kept: ["q", "g"],
    products: { s: ["q", "k"], p: ["g", "v"] },
    sums: { p: { of: "k", factor: "numbers.scale" } },
  },
  keys: {
    bound: ["k", "q", "v", "g"],
    kept: ["k", "v"],
    products: { s: ["k", "q"], p: ["v", "g"] },
    sums: { p: { of: "q", factor: "numbers.scale" }, s: { of: "g" } },
  },
};

const vectorsOf = ({ width }: RowShape): number => Math.ceil(width / 4);

/** WGSL that reads vector d of a tensor's row; zeros beyond the width. */
function read(name: string, at: string, d: number, { width }: RowShape): string {
  if (width % 4 === 0) return `${name}[${at} + ${d}u]`;
  const element = (lane: number) =>
    4 * d + lane < width ? `${name}[${at} + ${4 * d + lane}u]` : "0.0";
  return `vec4<f32>(${range(4).map(element)})`;
}

/** WGSL that selects the value of row i. Each row has its own variable. */
const ofRow = (rows: number, name: (row: number) => string): string =>
  range(rows).reduce(
    (value, row) => row === 0 ? name(0) : `select(${value}, ${name(row)}, i == ${row}u)`,
    "",
  );

/** Statements that read the kept rows. Reading takes more code than multiplying, so this is a loop over the rows. */
function keepRows(shape: RowShape): string {
  const { rows, kind } = shape;
  const { kept } = TENSORS[kind];
  const eachVector = (text: (name: string, d: number) => string) =>
    kept.map((name) => each(vectorsOf(shape), (d) => text(name, d))).join("\n");
  return `
  ${eachVector((name, d) => each(rows, (i) => `var ${name}${i}_${d} = vec4<f32>(0.0);`))}
  for (var i = 0u; i < ${rows}u; i++) {
    let row = line(min(first_row + i, numbers.rows - 1u), numbers.rows, item);
    ${
    eachVector((name, d) =>
      `{
      let value = ${read(name, "row", d, shape)}${name === kept[0] ? " * numbers.scale" : ""};
      ${each(rows, (i) => `${name}${i}_${d} = select(${name}${i}_${d}, value, i == ${i}u);`)}
    }`
    )
  }
  }`;
}

/** WGSL of the offset of a query's l and d. */
const placeOf = (query: string, bound: "rows" | "columns"): string =>
  `line_number(${query}, numbers.${bound}, item)`;

/** Statements that initialise the sums of the rows and, if the rows are queries, read their data. */
function start(shape: RowShape): string {
  const { rows, kind } = shape;
  const about = (i: number) => {
    if (kind === "keys") return "";
    const known = `let limit${i} = limit(query${i});`;
    if (kind === "forward") return `${known} var greatest${i} = LOWEST; var weight_sum${i} = 0.0;`;
    return `${known}
  let l${i} = logsumexps[${placeOf(`query${i}`, "rows")}];
  let d${i} = totals[${placeOf(`query${i}`, "rows")}];`;
  };
  return each(rows, (i) => `
  let query${i} = min(first_row + ${i}u, numbers.rows - 1u);
  ${about(i)}
  ${
    Object.keys(TENSORS[kind].sums).map((weights) =>
      each(vectorsOf(shape), (d) => `var ${weights}_sum${i}_${d} = vec4<f32>(0.0);`)
    ).join("\n")
  }`);
}

/** Statements that multiply the rows and the column. */
function multiply(shape: RowShape): string {
  const { rows, kind } = shape;
  return Object.entries(TENSORS[kind].products).map(([to, [kept, brought]]) => `
    ${each(rows, (i) => `var ${to}${i} = 0.0;`)}
    ${
    each(vectorsOf(shape), (d) =>
      `{
      let b = ${read(brought, "at", d, shape)};
      ${each(rows, (i) => `${to}${i} += dot(${kept}${i}_${d}, b);`)}
    }`)
  }`).join("\n");
}

/** Statements of the forward pass that convert the logits s to weights and rescale the sums so far. */
function weighForward(shape: RowShape): string {
  return each(shape.rows, (i) => `
    let seen${i} = i32(column) < limit${i};
    let now${i} = max(greatest${i}, select(LOWEST, s${i}, seen${i}));
    let factor${i} = exponential(greatest${i} - now${i});
    s${i} = select(0.0, exponential(s${i} - now${i}), seen${i});
    weight_sum${i} = weight_sum${i} * factor${i} + s${i};
    greatest${i} = now${i};
    ${each(vectorsOf(shape), (d) => `s_sum${i}_${d} *= factor${i};`)}`);
}

/** Statements of the backward pass that convert the logits s to weights, and p to the slopes of the logits. */
function weighBackward({ kind, rows }: RowShape): string {
  const weigh = (i: number, query: string | number, seen: string) => `
    s${i} = select(0.0, exponential(s${i} - l${query}), ${seen});
    p${i} = s${i} * (p${i} - d${query});`;
  if (kind === "queries") return each(rows, (i) => weigh(i, i, `i32(column) < limit${i}`));
  return `
    let limit_here = limit(column);
    let l = logsumexps[${placeOf("column", "columns")}];
    let d = totals[${placeOf("column", "columns")}];
    ${each(rows, (i) => weigh(i, "", `i32(first_row) + ${i} < limit_here`))}`;
}

/** Statements that add the weighted column to the sums. */
function accumulate(shape: RowShape): string {
  return Object.entries(TENSORS[shape.kind].sums).map(([weights, { of }]) =>
    each(vectorsOf(shape), (d) =>
      `{
      let b = ${read(of, "at", d, shape)};
      ${each(shape.rows, (i) => `${weights}_sum${i}_${d} += ${weights}${i} * b;`)}
    }`)
  ).join("\n");
}

/** Statements that write the sums, again in a loop over the rows. */
function writeRows(shape: RowShape): string {
  const { rows, width, kind } = shape;
  const share = `
    let greatest = ${ofRow(rows, (i) => `greatest${i}`)};
    let weight_sum = ${ofRow(rows, (i) => `weight_sum${i}`)};
    let none = weight_sum == 0.0;
    logsumexps[${placeOf("first_row + i", "rows")}] =
      select(greatest + logarithm(weight_sum), 0.0, none);
    let share = select(1.0 / weight_sum, 0.0, none);`;
  const write = (weights: string, d: number, factor: string | undefined) => {
    const sum = ofRow(rows, (i) => `${weights}_sum${i}_${d}`);
    const value = factor === undefined ? sum : `${sum} * ${factor}`;
    if (width % 4 === 0) return `${weights}_out[row + ${d}u] = ${value};`;
    return `{ let value = ${value}; ${
      each(Math.min(4, width - 4 * d), (lane) =>
        `${weights}_out[row + ${4 * d + lane}u] = value.${LANES[lane]};`)
    } }`;
  };
  return `
  for (var i = 0u; i < ${rows}u && first_row + i < numbers.rows; i++) {
    let row = line(first_row + i, numbers.rows, item);
    ${kind === "forward" ? share : ""}
    ${
    Object.entries(TENSORS[kind].sums).map(([weights, { factor }]) =>
      each(vectorsOf(shape), (d) => write(weights, d, factor))
    ).join("\n")
  }
  }`;
}

function bindings({ kind, width, masked }: RowShape): Pick<ComputeShader, "inputs" | "outputs"> {
  const { bound, sums } = TENSORS[kind];
  const element = width % 4 === 0 ? "vec4<f32>" : "f32";
  const forward = kind === "forward";
  return {
    inputs: [
      ...bound.map((name) => `${name}: ${element}`),
      ...forward ? [] : ["logsumexps: f32", "totals: f32"],
      ...masked ? ["visible: i32"] : [],
    ],
    outputs: [
      ...Object.keys(sums).map((weights) => `${weights}_out: ${element}`),
      ...forward ? ["logsumexps: f32"] : [],
    ],
  };
}

/** The shader of a kind. Its threads are numbered by heads, then by blocks of rows. */
export function rowShader(shape: RowShape): ComputeShader {
  const { kind, rows, width, masked } = shape;
  const keys = kind === "keys" ? "rows" : "columns";
  const [begin, end] = kind === "keys"
    ? ["u32(max(i32(first_row) + 1 - numbers.ahead, 0))", "numbers.columns"]
    : ["0u", `u32(clamp(i32(first_row) + ${rows - 1} + numbers.ahead, 0, i32(numbers.columns)))`];
  return {
    ...bindings(shape),
    numbers: [
      "rows: u32",
      "columns: u32",
      "heads: u32",
      "ahead: i32", // a query sees the keys whose index is below its own index plus this
      "blocks: u32",
      "threads: u32",
      "scale: f32",
    ],
    declarations: `${floatFunctions(1, ["exponential", "logarithm"])}
const LOWEST = -3.4028234e38;
fn line_number(at: u32, count: u32, item: u32) -> u32 {
  return (item / numbers.heads * count + at) * numbers.heads + item % numbers.heads;
}
fn line(at: u32, count: u32, item: u32) -> u32 {
  return line_number(at, count, item) * ${width % 4 === 0 ? width / 4 : width}u;
}
fn limit(query: u32) -> i32 {
  let most = min(i32(numbers.${keys}), i32(query) + numbers.ahead);
  return ${masked ? "min(most, visible[query])" : "most"};
}`,
    workgroupSize: ROW_THREADS,
    body: `
  if (index >= numbers.threads) { return; }
  let item = index / numbers.blocks;
  let first_row = index % numbers.blocks * ${rows}u;
  ${keepRows(shape)}
  ${start(shape)}
  let end = ${end};
  for (var column = ${begin}; column < end; column++) {
    let at = line(column, numbers.columns, item);
    ${multiply(shape)}
    ${kind === "forward" ? weighForward(shape) : weighBackward(shape)}
    ${accumulate(shape)}
  }
  ${writeRows(shape)}`,
  };
}
