/** Matrix products for tilings: WGSL that locates the operands' elements and the results. */
import { SCALES, type Source } from "./halves.ts";
import type { ComputeShader } from "./launch.ts";
import type { WebGpuBuffer } from "./memory.ts";
import type { Tiling } from "./tilings.ts";

/** One operand. A *line* is a row of A or a column of B. */
export interface Operand {
  /** Its elements. */
  readonly source: Source;
  /** The index whose neighbours are adjacent in memory: k, or the line. */
  readonly contiguous: "depth" | "line";
  /** Whether groups of four neighbours start at multiples of four, and never straddle an edge. */
  readonly vectors: boolean;
  /** WGSL body of (i: u32, item: u32) → vec4<i32>: what to compute about line i before the loop over k. */
  readonly line: string;
  /** WGSL body of (line: vec4<i32>, k: u32) → E, by `fetch(offset: u32) -> E`; zero is `E(0.0)`. */
  readonly load: string;
}

/** A product over `items` independent pairs of operands, both float32 or both halves. */
export interface Product {
  /** Identifies the shader: includes everything its WGSL depends on, except the tiling and the operands' element
   * types. */
  readonly key: string;
  /** The tiling, unless the product is too narrow for it. */
  readonly tiling: Tiling;
  readonly a: Operand;
  readonly b: Operand;
  readonly output: WebGpuBuffer;
  readonly items: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Whether the depth may be split into pieces that are summed afterwards; the output must be plain row-major. */
  readonly splits: boolean;
  /** Further numbers, as `name: type`, with their words. */
  readonly numbers: readonly (readonly [string, number])[];
  /** WGSL body of (m: u32, n: u32, z: u32) → u32: the output's element; plain row-major by default. */
  readonly place?: string;
  /** The initial value of each column's sum. */
  readonly bias?: WebGpuBuffer;
  /** Whether negative results become 0. */
  readonly relu?: boolean;
}

const PLAIN_PLACE = "return (z * numbers.rows + m) * numbers.columns + n;";

/** Whether the operands are halves. */
export function isHalved({ a }: Product): boolean {
  return a.source.largest !== undefined;
}

/** The WGSL type of one element, or of four. */
export function elementType(scalar: "f16" | "f32", isVector: boolean): string {
  return isVector ? `vec4<${scalar}>` : scalar;
}

function operandText(
  name: "a" | "b",
  { line, load }: Operand,
  vector: boolean,
  type: string,
): string {
  const own = load.replaceAll("fetch(", `fetch_${name}(`).replaceAll("E(", `E_${name}(`);
  return `
alias E_${name} = ${type};
fn fetch_${name}(offset: u32) -> E_${name} { return data_${name}[${
    vector ? "offset / 4u" : "offset"
  }]; }
fn line_${name}(i: u32, item: u32) -> vec4<i32> { ${line} }
fn load_${name}(line: vec4<i32>, k: u32) -> E_${name} { ${own} }`;
}

/** The common part of the shaders of all tilings: line_a, load_a, line_b, load_b, `first(n)` (the initial value of a
 * column's sum) and `store(m, n, z, sum)`.
 * @param vectors which of a, b and the output are accessed four elements at a time
 */
export function productFrame(
  product: Product,
  vectors: { readonly a: boolean; readonly b: boolean; readonly output: boolean },
): Omit<ComputeShader, "body" | "workgroupSize"> {
  const { a, b, bias, relu, numbers, place } = product;
  const halved = isHalved(product);
  const [typeA, typeB] = [vectors.a, vectors.b].map((each) =>
    elementType(halved ? "f16" : "f32", each)
  );
  const out = elementType("f32", vectors.output);
  const offset = vectors.output ? " / 4u" : "";
  const start = bias === undefined ? "C(0.0)" : `data_bias[min(n, numbers.columns - 1u)${offset}]`;
  // The sums of scaled halves start at 0. The bias is added after scaling back.
  const [first, whole] = halved
    ? ["C(0.0)", `sum * scaled_back(largest_a[0]) * scaled_back(largest_b[0]) + ${start}`]
    : [start, "sum"];
  return {
    float16: halved,
    inputs: [
      `data_a: ${typeA}`,
      `data_b: ${typeB}`,
      ...(halved ? ["largest_a: u32", "largest_b: u32"] : []),
      ...(bias === undefined ? [] : [`data_bias: ${out}`]),
    ],
    outputs: [`data_out: ${out}`],
    numbers: [
      "rows: u32",
      "columns: u32",
      "depth: u32",
      "pieces: u32",
      "piece_length: u32",
      "tiles: u32",
      ...numbers.map(([declaration]) => declaration),
    ],
    declarations: `${halved ? SCALES : ""}${operandText("a", a, vectors.a, typeA)}${
      operandText("b", b, vectors.b, typeB)
    }
alias C = ${out};
fn place(m: u32, n: u32, z: u32) -> u32 { ${place ?? PLAIN_PLACE} }
fn first(n: u32) -> C { return ${first}; }
fn store(m: u32, n: u32, z: u32, sum: C) {
  let whole = ${whole};
  data_out[place(m, n, z)${offset}] = ${relu ? "select(whole, C(0.0), whole < C(0.0))" : "whole"};
}`,
  };
}

/** Statements that compute which piece of which item tile number z belongs to, and so which part of the depth. */
export const PIECE = `
  let item = z / numbers.pieces;
  let begin = (z % numbers.pieces) * numbers.piece_length;
  let end = min(begin + numbers.piece_length, numbers.depth);`;
