/** Reductions over the middle axis of [outer, count, inner].
 *
 * A thread folds every `chunks`-th element of one line, so that neighbouring threads read neighbouring elements for any
 * `inner`. The `chunks` results of a line are then folded the same way, until one is left. The partition depends only
 * on the shape and the kind of adapter.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { type FloatFunction, floatFunctions } from "../float_functions.ts";
import { type HeldLine, heldLineText, holdLine } from "../held_lines.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";

/** A fold: WGSL over an accumulator of type `A`. */
interface Fold {
  readonly name: string;
  /** The type of the accumulator. */
  readonly accumulator: string;
  /** The size of an accumulator in words. */
  readonly words: number;
  /** The type of the result. */
  readonly result: string;
  /** Defines identity(), lift(x, i), merge(a, b) and finish(a). */
  readonly text: string;
  readonly functions: readonly FloatFunction[];
}

const SUM: Fold = {
  name: "sum",
  accumulator: "f32",
  words: 1,
  result: "f32",
  functions: [],
  text: `
fn identity() -> A { return 0.0; }
fn lift(x: f32, i: u32) -> A { return x; }
fn merge(a: A, b: A) -> A { return a + b; }
fn finish(a: A) -> f32 { return a; }`,
};

// Over ordered words, in which NaN is the largest.
const MAX: Fold = {
  name: "max",
  accumulator: "u32",
  words: 1,
  result: "f32",
  functions: ["ordered"],
  text: `
fn identity() -> A { return 0u; }
fn lift(x: f32, i: u32) -> A { return select(ordered(x), 0xffffffffu, is_nan(x)); }
fn merge(a: A, b: A) -> A { return max(a, b); }
fn finish(a: A) -> f32 { return from_ordered(a); }`,
};

// Over the words of magnitudes, whose order is the same; NaN is the largest.
const LARGEST: Fold = {
  name: "largest",
  accumulator: "u32",
  words: 1,
  result: "u32",
  functions: [],
  text: `
fn identity() -> A { return 0u; }
fn lift(x: f32, i: u32) -> A { return bitcast<u32>(x) & 0x7fffffffu; }
fn merge(a: A, b: A) -> A { return max(a, b); }
fn finish(a: A) -> u32 { return a; }`,
};

// Over pairs (ordered word, index), in which NaN is the smallest.
const ARGMAX: Fold = {
  name: "argmax",
  accumulator: "vec2<u32>",
  words: 2,
  result: "i32",
  functions: ["ordered"],
  text: `
fn identity() -> A { return vec2<u32>(0u, 0xffffffffu); }
fn lift(x: f32, i: u32) -> A { return vec2<u32>(select(ordered(x), 0u, is_nan(x)), i); }
fn merge(a: A, b: A) -> A { return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y)); }
fn finish(a: A) -> i32 { return i32(a.y); }`,
};

// Over pairs (m, s) that stand for s·e^m.
const LOGSUMEXP: Fold = {
  name: "logsumexp",
  accumulator: "vec2<f32>",
  words: 2,
  result: "f32",
  functions: ["exponential", "logarithm"],
  text: `
fn identity() -> A { return vec2<f32>(-infinity(), 0.0); }
fn lift(x: f32, i: u32) -> A { return vec2<f32>(x, select(1.0, x, is_nan(x))); }
fn merge(a: A, b: A) -> A {
  let first = a.x >= b.x;
  let decay = select(exponential(select(a.x - b.x, b.x - a.x, first)), 1.0, a.x == b.x);
  return select(vec2<f32>(b.x, a.y * decay + b.y), vec2<f32>(a.x, a.y + b.y * decay), first);
}
fn finish(a: A) -> f32 { return a.x + logarithm(a.y); }`,
};

// The same fold, kept as the pair that softmax divides by.
const SOFTMAX_PAIR: Fold = {
  ...LOGSUMEXP,
  name: "softmaxPair",
  result: "vec2<f32>",
  text: LOGSUMEXP.text.replace(/fn finish.*$/m, "fn finish(a: A) -> A { return a; }"),
};

/** The layout of a fold's operand. */
interface Lines {
  readonly outer: number;
  readonly count: number;
  readonly inner: number;
}

const SHORT_LINE = 64;

/** How many threads share a line: enough to fill the device, but each with enough work. */
function chunksOf({ outer, count, inner }: Lines, isSoftware: boolean): number {
  if (count <= SHORT_LINE) return 1;
  const wanted = Math.ceil((isSoftware ? 1024 : 65536) / (outer * inner));
  const coalesced = isSoftware || inner >= 32 ? 1 : 32;
  return Math.min(Math.max(wanted, coalesced), Math.ceil(count / 16), isSoftware ? 1024 : 16384);
}

function foldLines(
  launcher: Launcher,
  fold: Fold,
  input: WebGpuBuffer,
  output: WebGpuBuffer,
  lines: Lines,
): void {
  let source = input;
  let { count } = lines;
  for (let stage = 0;; stage++) {
    const chunks = chunksOf({ ...lines, count }, launcher.isSoftware);
    const threads = lines.outer * lines.inner * chunks;
    const first = stage === 0, last = chunks === 1;
    const target = last ? output : launcher.scratch(stage % 2, threads * fold.words * 4);
    launcher.launch({
      key: `${fold.name}/${first}/${last}`,
      shader: () => ({
        inputs: [`source: ${first ? "f32" : "A"}`],
        outputs: [`folded: ${last ? fold.result : "A"}`],
        numbers: ["threads: u32", "count: u32", "inner: u32", "chunks: u32"],
        declarations: [
          `alias A = ${fold.accumulator};`,
          floatFunctions(1, fold.functions),
          fold.text,
        ].join("\n"),
        workgroupSize: WORKGROUP_SIZE,
        body: `
  if (index >= numbers.threads) { return; }
  let within = index % numbers.inner;
  let line = index / numbers.inner;
  let chunk = line % numbers.chunks;
  var at = ((line / numbers.chunks) * numbers.count + chunk) * numbers.inner + within;
  let step = numbers.chunks * numbers.inner;
  var total = identity();
  for (var i = chunk; i < numbers.count; i += numbers.chunks) {
    total = merge(total, ${first ? "lift(source[at], i)" : "source[at]"});
    at += step;
  }
  folded[index] = ${last ? "finish(total)" : "total"};`,
      }),
      inputs: [source],
      outputs: [target],
      numbers: [threads, count, lines.inner, chunks],
      workgroups: workgroupsFor(threads),
    });
    if (last) return;
    source = target;
    count = chunks;
  }
}

/** Sums the middle axis of [outer, count, inner]. */
export function sumLines(
  launcher: Launcher,
  input: WebGpuBuffer,
  output: WebGpuBuffer,
  lines: Lines,
): void {
  foldLines(launcher, SUM, input, output, lines);
}

/** Folds the middle axis of [outer, count, inner] to pairs (m, s), vec2<f32>: m the maximum, s = Σ exp(x − m). */
export function softmaxPairs(
  launcher: Launcher,
  input: WebGpuBuffer,
  output: WebGpuBuffer,
  lines: Lines,
): void {
  foldLines(launcher, SOFTMAX_PAIR, input, output, lines);
}

/** The largest magnitude among `count` elements, as the word of a float32. */
export function largestMagnitude(
  launcher: Launcher,
  input: WebGpuBuffer,
  output: WebGpuBuffer,
  count: number,
): void {
  foldLines(launcher, LARGEST, input, output, { outer: 1, count, inner: 1 });
}

function linesOf({ shape: [outer, count, inner] }: View): Lines {
  return { outer, count, inner };
}

/** The softmax of rows that fit into a workgroup's memory. Each row is read once. */
function softmaxHeld(
  launcher: Launcher,
  line: HeldLine,
  input: View<WebGpuBuffer>,
  output: View<WebGpuBuffer>,
): void {
  const { outer, count } = linesOf(input);
  const each = (statements: string) =>
    `for (var e = local; e < numbers.count; e += ${line.threads}u) { let at = group * numbers.count + e; ${statements} }`;
  launcher.launch({
    key: `softmaxHeld/${line.threads}/${line.places}`,
    shader: () => ({
      inputs: ["x: f32"],
      outputs: ["y: f32"],
      numbers: ["rows: u32", "count: u32"],
      declarations: [
        `alias A = ${SOFTMAX_PAIR.accumulator};`,
        floatFunctions(1, SOFTMAX_PAIR.functions),
        SOFTMAX_PAIR.text,
        heldLineText(line, "f32"),
      ].join("\n"),
      workgroupSize: line.threads,
      body: `  if (group >= numbers.rows) { return; }
  var mine = identity();
  ${each("let value = x[at]; held[e] = value; mine = merge(mine, lift(value, e));")}
  let pair = fold(mine, local);
  ${each("y[at] = exponential(held[e] - pair.x) / pair.y;")}`,
    }),
    inputs: [input.buffer],
    outputs: [output.buffer],
    numbers: [outer, count],
    workgroups: outer,
  });
}

type Reduction = "sum" | "max" | "argmax" | "logsumexp" | "softmax";
type Table = { readonly [N in Reduction]: Kernel<Attributes[N], WebGpuBuffer> };

/** The reduction kernels. */
export function reductionKernels(launcher: Launcher): Table {
  const reduce = (fold: Fold): Table["sum"] => ([input], [output]) =>
    foldLines(launcher, fold, input.buffer, output.buffer, linesOf(input));
  return {
    sum: reduce(SUM),
    max: reduce(MAX),
    argmax: reduce(ARGMAX),
    logsumexp: reduce(LOGSUMEXP),
    softmax: ([input], [output]) => {
      const lines = linesOf(input);
      const held = lines.inner === 1 ? holdLine(launcher, lines.count, 1) : undefined;
      if (held !== undefined) return softmaxHeld(launcher, held, input, output);
      const { outer, count, inner } = lines;
      const total = outer * count * inner;
      const pairs = launcher.scratch(2, outer * inner * 8);
      softmaxPairs(launcher, input.buffer, pairs, lines);
      launcher.launch({
        key: "softmax",
        shader: () => ({
          inputs: ["x: f32", "pairs: vec2<f32>"],
          outputs: ["y: f32"],
          numbers: ["total: u32", "line: u32", "inner: u32"],
          declarations: floatFunctions(1, ["exponential"]),
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.total) { return; }
  let pair = pairs[(index / numbers.line) * numbers.inner + index % numbers.inner];
  y[index] = exponential(x[index] - pair.x) / pair.y;`,
        }),
        inputs: [input.buffer, pairs],
        outputs: [output.buffer],
        numbers: [total, count * inner, inner],
        workgroups: workgroupsFor(total),
      });
    },
  };
}
