/** Tiles in workgroup memory: the threads of a workgroup bring in the operands together, and share them. */
import type { ComputeShader } from "./launch.ts";
import {
  elementType,
  isHalved,
  type Operand,
  PIECE,
  type Product,
  productFrame,
} from "./product.ts";
import { threadsOf, type WorkgroupTiling } from "./tilings.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Products of halves that are summed as halves before they are added in float32. */
const HALF_RUN = 4;

// Which line and depth of the tile element `e` of those that the threads bring in is, so that neighbours read
// neighbours.
function share(
  contiguous: Operand["contiguous"],
  lines: number,
  depth: number,
  e: string,
): { readonly line: string; readonly depth: string } {
  return contiguous === "depth"
    ? { line: `(${e}) / ${depth}u`, depth: `(${e}) % ${depth}u` }
    : { line: `(${e}) % ${lines}u`, depth: `(${e}) / ${lines}u` };
}

/** The shader of a product in such tiles; the workgroups are numbered over tiles, row by row, then over pieces. */
export function workgroupShader(product: Product, tile: WorkgroupTiling): ComputeShader {
  const { a, b } = product;
  const { threadRows, threadColumns } = tile;
  const halved = isHalved(product);
  const scalar = halved ? "f16" : "f32";
  const vector = elementType(scalar, true);
  const threads = threadsOf(tile);
  const base = productFrame(product, { a: false, b: false, output: false });
  const setup: string[] = [];
  const fill: string[] = [];
  const sides = [["a", a, "m", "rows"], ["b", b, "n", "columns"]] as const;
  for (const [name, operand, origin, bound] of sides) {
    const lines = tile[bound];
    for (const turn of range(lines * tile.depth / threads)) {
      const { line, depth } = share(
        operand.contiguous,
        lines,
        tile.depth,
        `local + ${turn * threads}u`,
      );
      setup.push(
        `let line_${name}${turn} = line_${name}(min(${origin} + ${line}, numbers.${bound} - 1u), item);`,
      );
      fill.push(
        `{ let k = at + ${depth};`,
        `let value = load_${name}(line_${name}${turn}, min(k, end - 1u));`,
        `tile_${name}[(${depth}) * ${lines}u + ${line}] = select(E_${name}(0.0), value, k < end); }`,
      );
    }
  }
  const across = range(threadColumns / 4);
  const cells = range(threadRows).flatMap((i) => across.map((j) => [i, j] as const));
  const step = (k: string, target: string) => [
    ...range(threadRows).map((i) =>
      `let left${i} = tile_a[(${k}) * ${tile.rows}u + my_m + ${i}u];`
    ),
    ...across.map((j) => {
      const four = range(4).map((l) => `tile_b[(${k}) * ${tile.columns}u + my_n + ${j * 4 + l}u]`);
      return `let right${j} = ${vector}(${four});`;
    }),
    ...cells.map(([i, j]) => `${target}${i}_${j} += left${i} * right${j};`),
  ];
  const multiply = halved
    ? [
      `for (var k = 0u; k < ${tile.depth}u; k += ${HALF_RUN}u) {`,
      ...cells.map(([i, j]) => `var p${i}_${j} = ${vector}(0.0);`),
      ...range(HALF_RUN).flatMap((run) => ["{", ...step(`k + ${run}u`, "p"), "}"]),
      ...cells.map(([i, j]) => `c${i}_${j} += vec4<f32>(p${i}_${j});`),
      "}",
    ]
    : [`for (var k = 0u; k < ${tile.depth}u; k++) {`, ...step("k", "c"), "}"];
  return {
    ...base,
    declarations: `var<workgroup> tile_a: array<${scalar}, ${tile.depth * tile.rows}>;
var<workgroup> tile_b: array<${scalar}, ${tile.depth * tile.columns}>;
${base.declarations}`,
    workgroupSize: threads,
    body: `
  if (group >= numbers.tiles) { return; }
  let across = (numbers.columns + ${tile.columns - 1}u) / ${tile.columns}u;
  let down = (numbers.rows + ${tile.rows - 1}u) / ${tile.rows}u;
  let n = (group % across) * ${tile.columns}u;
  let m = ((group / across) % down) * ${tile.rows}u;
  let z = group / (across * down);${PIECE}
  let my_m = (local / ${tile.columns / threadColumns}u) * ${threadRows}u;
  let my_n = (local % ${tile.columns / threadColumns}u) * ${threadColumns}u;
${setup.map((line) => `  ${line}`).join("\n")}
${
      across.map((j) =>
        `  let first${j} = vec4<f32>(${range(4).map((l) => `first(n + my_n + ${j * 4 + l}u)`)});`
      ).join("\n")
    }
${cells.map(([i, j]) => `  var c${i}_${j} = first${j};`).join("\n")}
  for (var at = begin; at < end; at += ${tile.depth}u) {
${fill.map((line) => `    ${line}`).join("\n")}
    workgroupBarrier();
${multiply.map((line) => `    ${line}`).join("\n")}
    workgroupBarrier();
  }
  var results = array<vec4<f32>, ${cells.length}>(${cells.map(([i, j]) => `c${i}_${j}`)});
  for (var i = 0u; i < ${threadRows}u; i++) {
    for (var j = 0u; j < ${threadColumns}u; j++) {
      if (m + my_m + i < numbers.rows && n + my_n + j < numbers.columns) {
        store(m + my_m + i, n + my_n + j, z, results[i * ${across.length}u + j / 4u][j % 4u]);
      }
    }
  }`,
  };
}
