/** Reductions over the middle axis of [outer, count, inner].
 *
 * A thread folds every `chunks`-th element of one line, so that neighbouring threads read neighbouring elements for any
 * `inner`. The `chunks` results of a line are then folded the same way, until one is left. If a line's elements are
 * neighbours, the threads of a workgroup of a real GPU take one line together, and also fold their results. The partition
 * depends only on the shape and the kind of adapter.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { floatFunctions } from "../float_functions.ts";
import { type HeldLine, heldLineText, holdLine } from "../held_lines.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { foldText } from "../workgroup_fold.ts";
import { ARGMAX, type Fold, LARGEST, LOGSUMEXP, MAX, SOFTMAX_PAIR, SUM } from "./folds.ts";

/** The layout of a fold's operand. */
interface Lines {
  readonly outer: number;
  readonly count: number;
  readonly inner: number;
}

const SHORT_LINE = 64;

const MOST_THREADS = 256, ELEMENTS_PER_THREAD = 16;
/** How many threads fill a real GPU. */
const FULL = 65536;

/** How many threads share a line: enough to fill the device, but each with enough work. */
function chunksOf({ outer, count, inner }: Lines, isSoftware: boolean): number {
  if (count <= SHORT_LINE) return 1;
  const wanted = Math.ceil((isSoftware ? 1024 : FULL) / (outer * inner));
  const coalesced = isSoftware || inner >= 32 ? 1 : 32;
  const most = isSoftware ? 1024 : 16384;
  return Math.min(Math.max(wanted, coalesced), Math.ceil(count / ELEMENTS_PER_THREAD), most);
}

/** The threads of a workgroup that takes a line, a power of two, and how many workgroups share it. */
function workgroupsOf(
  { outer, count }: Lines,
): { readonly threads: number; readonly parts: number } {
  const wanted = 2 ** Math.ceil(Math.log2(count / ELEMENTS_PER_THREAD));
  const threads = Math.min(Math.max(wanted, 32), MOST_THREADS);
  const fullest = Math.ceil(count / (ELEMENTS_PER_THREAD * threads));
  const parts = Math.min(Math.ceil(FULL / (outer * threads)), fullest);
  return { threads, parts };
}

/** A launch of a fold. */
interface Stage extends Lines {
  readonly fold: Fold;
  /** Whether its operand has elements, not accumulators. */
  readonly first: boolean;
  /** Whether it writes results, not accumulators. */
  readonly last: boolean;
  readonly source: WebGpuBuffer;
  readonly target: WebGpuBuffer;
  /** How many results there are of each line. */
  readonly parts: number;
}

const bindingsOf = ({ fold, first, last }: Stage) => ({
  inputs: [`source: ${first ? "f32" : "A"}`],
  outputs: [`folded: ${last ? fold.result : "A"}`],
});

/** Each thread folds a part of a line. */
function foldByThreads(launcher: Launcher, stage: Stage): void {
  const { fold, first, last, source, target, outer, count, inner, parts } = stage;
  const threads = outer * inner * parts;
  launcher.launch({
    key: `${fold.name}/${first}/${last}`,
    shader: () => ({
      ...bindingsOf(stage),
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
    numbers: [threads, count, inner, parts],
    workgroups: workgroupsFor(threads),
  });
}

/** Each workgroup folds a part of a line of neighbours. */
function foldByWorkgroups(launcher: Launcher, stage: Stage, threads: number): void {
  const { fold, first, last, source, target, outer, count, parts } = stage;
  launcher.launch({
    key: `${fold.name}/${first}/${last}/${threads}`,
    shader: () => ({
      ...bindingsOf(stage),
      subgroups: launcher.subgroups !== undefined,
      numbers: ["groups: u32", "count: u32", "parts: u32"],
      declarations: [
        `alias A = ${fold.accumulator};`,
        floatFunctions(1, fold.functions),
        foldText(launcher, fold, threads),
      ].join("\n"),
      workgroupSize: threads,
      body: `
  if (group >= numbers.groups) { return; }
  let begin = group / numbers.parts * numbers.count;
  var total = identity();
  for (var i = group % numbers.parts * ${threads}u + local; i < numbers.count; i += numbers.parts * ${threads}u) {
    total = merge(total, ${first ? "lift(source[begin + i], i)" : "source[begin + i]"});
  }
  total = fold(total, local);
  if (local == 0u) { folded[group] = ${last ? "finish(total)" : "total"}; }`,
    }),
    inputs: [source],
    outputs: [target],
    numbers: [outer * parts, count, parts],
    workgroups: outer * parts,
  });
}

function foldLines(
  launcher: Launcher,
  fold: Fold,
  input: WebGpuBuffer,
  output: WebGpuBuffer,
  { outer, count: length, inner }: Lines,
): void {
  let source = input, count = length;
  for (let at = 0;; at++) {
    const lines = { outer, count, inner };
    const together = !launcher.isSoftware && inner === 1 && count > SHORT_LINE;
    const { threads, parts } = together
      ? workgroupsOf(lines)
      : { threads: 1, parts: chunksOf(lines, launcher.isSoftware) };
    const first = at === 0, last = parts === 1;
    const bytes = outer * inner * parts * fold.words * 4;
    const target = last ? output : launcher.scratch(at % 2, bytes);
    const stage = { ...lines, fold, first, last, source, target, parts };
    if (together) foldByWorkgroups(launcher, stage, threads);
    else foldByThreads(launcher, stage);
    if (last) return;
    source = target;
    count = parts;
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
      subgroups: launcher.subgroups !== undefined,
      inputs: ["x: f32"],
      outputs: ["y: f32"],
      numbers: ["rows: u32", "count: u32"],
      declarations: [
        `alias A = ${SOFTMAX_PAIR.accumulator};`,
        floatFunctions(1, SOFTMAX_PAIR.functions),
        foldText(launcher, SOFTMAX_PAIR, line.threads),
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
