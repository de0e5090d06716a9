/** What is folded along an axis: sums, maxima and their places, and sums of exponentials. */
import type { FloatFunction } from "../float_functions.ts";
import { type Merging, SUMS } from "../workgroup_fold.ts";

/** A fold: WGSL over an accumulator of type `A`. Its text also defines lift(x, i) and finish(a). */
export interface Fold extends Merging {
  readonly name: string;
  /** The type of the accumulator. */
  readonly accumulator: string;
  /** The size of an accumulator in words. */
  readonly words: number;
  /** The type of the result. */
  readonly result: string;
  readonly functions: readonly FloatFunction[];
}

/** The sum. */
export const SUM: Fold = {
  name: "sum",
  accumulator: "f32",
  words: 1,
  result: "f32",
  functions: [],
  text: `${SUMS.text}
fn lift(x: f32, i: u32) -> A { return x; }
fn finish(a: A) -> f32 { return a; }`,
  across: SUMS.across,
};

const MAX_ACROSS = `
fn across(mine: A) -> A { return subgroupMax(mine); }`;

/** The maximum, over ordered words, in which NaN is the largest. */
export const MAX: Fold = {
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
  across: MAX_ACROSS,
};

/** The largest magnitude, over the words of magnitudes, whose order is the same; NaN is the largest. */
export const LARGEST: Fold = {
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
  across: MAX_ACROSS,
};

/** The place of the maximum, over pairs (ordered word, index), in which NaN is the smallest. */
export const ARGMAX: Fold = {
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
  across: `
fn across(mine: A) -> A {
  let most = subgroupMax(mine.x);
  return vec2<u32>(most, subgroupMin(select(0xffffffffu, mine.y, mine.x == most)));
}`,
};

/** The logarithm of the sum of exponentials, over pairs (m, s) that stand for s·e^m. */
export const LOGSUMEXP: Fold = {
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
  across: `
fn across(mine: A) -> A {
  let most = subgroupMax(mine.x);
  let decay = select(exponential(mine.x - most), 1.0, mine.x == most);
  return vec2<f32>(most, subgroupAdd(mine.y * decay));
}`,
};

/** The same fold, kept as the pair that softmax divides by. */
export const SOFTMAX_PAIR: Fold = {
  ...LOGSUMEXP,
  name: "softmaxPair",
  result: "vec2<f32>",
  text: LOGSUMEXP.text.replace(/fn finish.*$/m, "fn finish(a: A) -> A { return a; }"),
};
