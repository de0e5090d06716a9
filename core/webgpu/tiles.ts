/** Matrix products in tiles: C(m, n) = Σ_k A(m, k)·B(k, n), where A and B may be matrices, or images seen as ones.
 *
 * A product says in WGSL where its operands' elements lie; this file makes the loops. Real GPUs get square tiles in
 * workgroup memory, software adapters large tiles in registers, read by vectors where the operands allow.
 */
import { type ComputeShader, type Launcher, workgroupsFor } from "./launch.ts";
import type { WebGpuBuffer } from "./memory.ts";

/** One operand. A *line* is a row of A or a column of B. */
export interface Operand {
  readonly buffer: WebGpuBuffer;
  /** Which index moves to the neighbouring element in memory: k, or the line. */
  readonly contiguous: "depth" | "line";
  /** Whether groups of four neighbours start at multiples of four, and never straddle an edge. */
  readonly vectors: boolean;
  /** WGSL body of (i: u32, item: u32) → vec4<i32>: what is worth knowing about line i before the loop over k. */
  readonly line: string;
  /** WGSL body of (line: vec4<i32>, k: u32) → E, by `fetch(offset: u32) -> E`; zero is `E(0.0)`. */
  readonly load: string;
}

/** A product over `items` independent pairs of operands. */
export interface Product {
  /** Names the shader, with everything that its WGSL depends on. */
  readonly key: string;
  readonly a: Operand;
  readonly b: Operand;
  readonly output: WebGpuBuffer;
  readonly items: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Whether the depth may be cut into pieces that are summed afterwards; the output must lie plainly. */
  readonly splits: boolean;
  /** Further numbers, as `name: type`, with their words. */
  readonly numbers: readonly (readonly [string, number])[];
  /** WGSL body of (m: u32, n: u32, z: u32) → u32: the output's element; plain row-major by default. */
  readonly place?: string;
  /** What each column's sum begins with. */
  readonly bias?: WebGpuBuffer;
  /** Whether negative results become 0. */
  readonly relu?: boolean;
}

/** A launch's cut of the depth. */
export interface Cut {
  readonly pieces: number;
  readonly length: number;
}

const PLAIN_PLACE = "return (z * numbers.rows + m) * numbers.columns + n;";
const GPU_TILE = 64;
const GPU_DEPTH = 16;
const SOFTWARE_THREADS = 32;
const LONGEST_PIECE = 4096;
const MOST_PARTS = 2 ** 24;

function element(vector: boolean): string {
  return vector ? "vec4<f32>" : "f32";
}

function operandText(name: "a" | "b", operand: Operand, vector: boolean): string {
  const own = (text: string) =>
    text.replaceAll("fetch(", `fetch_${name}(`).replaceAll("E(", `E_${name}(`);
  return `
alias E_${name} = ${element(vector)};
fn fetch_${name}(offset: u32) -> E_${name} { return data_${name}[${
    vector ? "offset / 4u" : "offset"
  }]; }
fn line_${name}(i: u32, item: u32) -> vec4<i32> { ${operand.line} }
fn load_${name}(line: vec4<i32>, k: u32) -> E_${name} { ${own(operand.load)} }`;
}

// The parts that both tilings share; `vectors` says which of a, b and the output are seen by four.
function frame(
  product: Product,
  vectors: { readonly a: boolean; readonly b: boolean; readonly output: boolean },
): Omit<ComputeShader, "body" | "workgroupSize"> {
  const { a, b, bias, relu, numbers, place } = product;
  const out = element(vectors.output);
  const offset = vectors.output ? " / 4u" : "";
  const first = bias === undefined ? "C(0.0)" : `data_bias[min(n, numbers.columns - 1u)${offset}]`;
  return {
    inputs: [
      `data_a: ${element(vectors.a)}`,
      `data_b: ${element(vectors.b)}`,
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
    declarations: `${operandText("a", a, vectors.a)}${operandText("b", b, vectors.b)}
alias C = ${out};
fn place(m: u32, n: u32, z: u32) -> u32 { ${place ?? PLAIN_PLACE} }
fn first(n: u32) -> C { return ${first}; }
fn store(m: u32, n: u32, z: u32, sum: C) {
  data_out[place(m, n, z)${offset}] = ${relu ? "select(sum, C(0.0), sum < C(0.0))" : "sum"};
}`,
  };
}

const PIECE = `
  let item = z / numbers.pieces;
  let begin = (z % numbers.pieces) * numbers.piece_length;
  let end = min(begin + numbers.piece_length, numbers.depth);`;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

// ---- registers ---------------------------------------------------------------------------------------------

interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
  /** Columns that one register holds. */
  readonly width: 1 | 4;
}

function registerTile({ columns, b }: Product): RegisterTile {
  const byFour = columns % 4 === 0 && (b.vectors || b.contiguous === "depth");
  return { rows: 8, columns: Math.min(16, columns), width: byFour ? 4 : 1 };
}

function registerShader(product: Product, tile: RegisterTile): ComputeShader {
  const { a, b } = product;
  const { width } = tile;
  const vectors = {
    a: a.vectors,
    b: b.vectors && (width === 4 || b.contiguous === "depth"),
    output: width === 4,
  };
  const aDeep = vectors.a && a.contiguous === "depth";
  const bDeep = vectors.b && b.contiguous === "depth";
  const aStep = vectors.a && !aDeep ? 4 : 1;
  const bStep = vectors.b && !bDeep ? 4 : 1;
  const depthStep = aDeep || bDeep ? 4 : 1;
  const lanes = "xyzw";
  const lines: string[] = [];
  const rowLines = range(tile.rows / aStep).map((i) => i * aStep);
  const columnLines = range(Math.ceil(tile.columns / bStep)).map((j) => j * bStep);
  for (const i of rowLines) {
    lines.push(`let row${i} = line_a(min(m + ${i}u, numbers.rows - ${aStep}u), item);`);
  }
  for (const j of columnLines) {
    lines.push(`let column${j} = line_b(min(n + ${j}u, numbers.columns - ${bStep}u), item);`);
  }
  const groups = range(Math.ceil(tile.columns / width));
  for (const j of groups) {
    lines.push(`let first${j} = first(n + ${j * width}u);`);
    for (const i of range(tile.rows)) lines.push(`var c${i}_${j} = first${j};`);
  }
  lines.push(`for (var k = begin; k < end; k += ${depthStep}u) {`);
  if (aDeep) { for (const i of rowLines) lines.push(`let a${i} = load_a(row${i}, k);`); }
  if (bDeep) { for (const j of columnLines) lines.push(`let b${j} = load_b(column${j}, k);`); }
  for (const step of range(depthStep)) {
    const lane = lanes[step];
    lines.push("{");
    if (!aDeep) {
      for (const i of rowLines) lines.push(`let a${i} = load_a(row${i}, k + ${step}u);`);
    }
    if (!bDeep) {
      for (const j of columnLines) lines.push(`let b${j} = load_b(column${j}, k + ${step}u);`);
    }
    const left = (i: number) =>
      aDeep ? `a${i}.${lane}` : aStep === 4 ? `a${i - i % 4}.${lanes[i % 4]}` : `a${i}`;
    const one = (j: number) => bDeep ? `b${j}.${lane}` : `b${j}`;
    const right = (j: number) =>
      width === 1 || bStep === 4
        ? one(j * width)
        : `vec4<f32>(${range(4).map((l) => one(j * 4 + l))})`;
    for (const j of groups) lines.push(`let right${j} = ${right(j)};`);
    for (const i of range(tile.rows)) {
      for (const j of groups) lines.push(`c${i}_${j} += ${left(i)} * right${j};`);
    }
    lines.push("}");
  }
  lines.push("}");
  for (const i of range(tile.rows)) {
    lines.push(`if (m + ${i}u < numbers.rows) {`);
    for (const j of groups) {
      const at = `n + ${j * width}u`;
      lines.push(`if (${at} < numbers.columns) { store(m + ${i}u, ${at}, z, c${i}_${j}); }`);
    }
    lines.push("}");
  }
  return {
    ...frame(product, vectors),
    workgroupSize: SOFTWARE_THREADS,
    body: `
  if (index >= numbers.tiles) { return; }
  let across = (numbers.columns + ${tile.columns - 1}u) / ${tile.columns}u;
  let down = (numbers.rows + ${tile.rows - 1}u) / ${tile.rows}u;
  let n = (index % across) * ${tile.columns}u;
  let m = ((index / across) % down) * ${tile.rows}u;
  let z = index / (across * down);${PIECE}
${lines.map((line) => `  ${line}`).join("\n")}`,
  };
}

// ---- workgroup memory --------------------------------------------------------------------------------------

// Which line and depth of the tile a thread brings in at turn i of four, so that neighbours read neighbours.
function share(contiguous: Operand["contiguous"], turn: number): { line: string; depth: string } {
  return contiguous === "depth"
    ? { line: `local / ${GPU_DEPTH}u + ${turn * 16}u`, depth: `local % ${GPU_DEPTH}u` }
    : { line: `local % ${GPU_TILE}u`, depth: `local / ${GPU_TILE}u + ${turn * 4}u` };
}

function workgroupShader(product: Product): ComputeShader {
  const { a, b } = product;
  const base = frame(product, { a: false, b: false, output: false });
  const setup: string[] = [];
  const fill: string[] = [];
  const sides = [["a", a, "m", "rows"], ["b", b, "n", "columns"]] as const;
  for (const [name, operand, origin, bound] of sides) {
    for (const turn of range(4)) {
      const { line, depth } = share(operand.contiguous, turn);
      setup.push(
        `let line_${name}${turn} = line_${name}(min(${origin} + ${line}, numbers.${bound} - 1u), item);`,
      );
      fill.push(
        `{ let k = at + ${depth};`,
        `let value = load_${name}(line_${name}${turn}, min(k, end - 1u));`,
        `tile_${name}[(${depth}) * ${GPU_TILE}u + ${line}] = select(0.0, value, k < end); }`,
      );
    }
  }
  const four = (name: string, at: string) =>
    `vec4<f32>(${range(4).map((i) => `tile_${name}[k * ${GPU_TILE}u + ${at} + ${i}u]`)})`;
  return {
    ...base,
    declarations: `var<workgroup> tile_a: array<f32, ${GPU_DEPTH * GPU_TILE}>;
var<workgroup> tile_b: array<f32, ${GPU_DEPTH * GPU_TILE}>;
${base.declarations}`,
    workgroupSize: 256,
    body: `
  if (group >= numbers.tiles) { return; }
  let across = (numbers.columns + ${GPU_TILE - 1}u) / ${GPU_TILE}u;
  let down = (numbers.rows + ${GPU_TILE - 1}u) / ${GPU_TILE}u;
  let n = (group % across) * ${GPU_TILE}u;
  let m = ((group / across) % down) * ${GPU_TILE}u;
  let z = group / (across * down);${PIECE}
  let my_m = (local / 16u) * 4u;
  let my_n = (local % 16u) * 4u;
${setup.map((line) => `  ${line}`).join("\n")}
  var c0 = vec4<f32>(${range(4).map((i) => `first(n + my_n + ${i}u)`)});
  var c1 = c0;
  var c2 = c0;
  var c3 = c0;
  for (var at = begin; at < end; at += ${GPU_DEPTH}u) {
${fill.map((line) => `    ${line}`).join("\n")}
    workgroupBarrier();
    for (var k = 0u; k < ${GPU_DEPTH}u; k++) {
      let left = ${four("a", "my_m")};
      let right = ${four("b", "my_n")};
      c0 += left.x * right;
      c1 += left.y * right;
      c2 += left.z * right;
      c3 += left.w * right;
    }
    workgroupBarrier();
  }
  var results = array<vec4<f32>, 4>(c0, c1, c2, c3);
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      if (m + my_m + i < numbers.rows && n + my_n + j < numbers.columns) {
        store(m + my_m + i, n + my_n + j, z, results[i][j]);
      }
    }
  }`,
  };
}

// ---- launching ---------------------------------------------------------------------------------------------

/** How the depth of a product is cut: long sums for accuracy, and few tiles to fill the device, as far as the pieces'
 * results find room. */
export function cutDepth(
  { rows, columns, depth, items, splits }: Omit<Product, "a" | "b" | "key" | "output" | "numbers">,
  isSoftware: boolean,
): Cut {
  if (!splits) return { pieces: 1, length: Math.max(depth, 1) };
  const tiles = isSoftware
    ? Math.ceil(rows / 8) * Math.ceil(columns / 16) * items
    : Math.ceil(rows / GPU_TILE) * Math.ceil(columns / GPU_TILE) * items;
  const wanted = Math.max(
    Math.ceil((isSoftware ? 64 : 256) / tiles),
    Math.ceil(depth / LONGEST_PIECE),
  );
  const room = Math.max(1, Math.floor(MOST_PARTS / (items * rows * columns)));
  const pieces = Math.min(wanted, room, Math.ceil(depth / 256));
  const length = Math.ceil(depth / pieces / 4) * 4;
  return { pieces: Math.ceil(depth / length), length };
}

/** Launches a product with its depth cut so; with several pieces the output holds [items, pieces, rows, columns]. */
export function launchProduct(launcher: Launcher, product: Product, cut: Cut): void {
  const { a, b, bias, output, rows, columns, depth, items, numbers } = product;
  const tile = registerTile(product);
  const { isSoftware } = launcher;
  const down = Math.ceil(rows / (isSoftware ? tile.rows : GPU_TILE));
  const across = Math.ceil(columns / (isSoftware ? tile.columns : GPU_TILE));
  const tiles = down * across * items * cut.pieces;
  launcher.launch({
    key: isSoftware
      ? `${product.key}/${tile.columns}/${tile.width}/${a.vectors}/${b.vectors}`
      : product.key,
    shader: () => isSoftware ? registerShader(product, tile) : workgroupShader(product),
    inputs: [a.buffer, b.buffer, ...(bias === undefined ? [] : [bias])],
    outputs: [output],
    numbers: [
      rows,
      columns,
      depth,
      cut.pieces,
      cut.length,
      tiles,
      ...numbers.map(([, word]) => word),
    ],
    workgroups: isSoftware ? workgroupsFor(tiles, SOFTWARE_THREADS) : tiles,
  });
}
