/** Tiles in registers: each thread computes its own tile, directly from memory. */
import type { ComputeShader } from "./launch.ts";
import { elementType, isHalved, PIECE, type Product, productFrame } from "./product.ts";
import type { RegisterTiling } from "./tilings.ts";

/** Threads of a workgroup. */
export const REGISTER_THREADS = 32;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** How many columns one register holds: four if the operands allow. */
export function registerWidth({ columns, b }: Product): 1 | 4 {
  return columns % 4 === 0 && (b.vectors || b.contiguous === "depth") ? 4 : 1;
}

/** How many elements of the depth one loop iteration takes: four if an operand is read four deep. */
export function registerDepth({ a, b }: Product): 1 | 4 {
  return [a, b].some((each) => each.vectors && each.contiguous === "depth") ? 4 : 1;
}

/** The shader of a product with these tiles. Threads are numbered over tiles, row by row, then over pieces. */
export function registerShader(product: Product, tile: RegisterTiling): ComputeShader {
  const { a, b } = product;
  const width = registerWidth(product);
  const halved = isHalved(product);
  const vectors = {
    a: a.vectors,
    b: b.vectors && (width === 4 || b.contiguous === "depth"),
    output: width === 4,
  };
  const aDeep = vectors.a && a.contiguous === "depth";
  const bDeep = vectors.b && b.contiguous === "depth";
  const aStep = vectors.a && !aDeep ? 4 : 1;
  const bStep = vectors.b && !bDeep ? 4 : 1;
  const depthStep = registerDepth(product);
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
  // Halves are multiplied, and up to four products summed, as halves. These sums are added to float32.
  const target = halved ? "p" : "c";
  const vector = elementType(halved ? "f16" : "f32", true);
  const eachCell = (statement: (i: number, j: number) => string) => {
    for (const i of range(tile.rows)) for (const j of groups) lines.push(statement(i, j));
  };
  lines.push(`for (var k = begin; k < end; k += ${depthStep}u) {`);
  if (halved) {
    const zero = `${elementType("f16", width === 4)}(0.0)`;
    eachCell((i, j) => `var p${i}_${j} = ${zero};`);
  }
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
        : `${vector}(${range(4).map((l) => one(j * 4 + l))})`;
    for (const j of groups) lines.push(`let right${j} = ${right(j)};`);
    eachCell((i, j) => `${target}${i}_${j} += ${left(i)} * right${j};`);
    lines.push("}");
  }
  if (halved) eachCell((i, j) => `c${i}_${j} += C(p${i}_${j});`);
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
    ...productFrame(product, vectors),
    workgroupSize: REGISTER_THREADS,
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
