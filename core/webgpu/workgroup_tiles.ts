/** Tiles in workgroup memory: the threads of a workgroup load the operands together, four elements at a time, and share
 * them. While one tile is multiplied, the next is loaded. */
import type { ComputeShader } from "./launch.ts";
import { elementType, isHalved, PIECE, type Product, productFrame } from "./product.ts";
import { SharedTile } from "./shared_tile.ts";
import { threadsOf, type WorkgroupTiling } from "./tilings.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const LANES = "xyzw";

/** How many columns are stored at once: four if no group of four crosses the edge. */
export function storedWidth({ columns }: Product): 1 | 4 {
  return columns % 4 === 0 ? 4 : 1;
}

/** The shader of a product with these tiles. Workgroups are numbered over tiles, row by row, then over pieces. */
export function workgroupShader(product: Product, tile: WorkgroupTiling): ComputeShader {
  const { a, b } = product;
  const halved = isHalved(product);
  const width = storedWidth(product);
  const vector = elementType(halved ? "f16" : "f32", true);
  const base = productFrame(product, { a: a.vectors, b: b.vectors, output: width === 4 });
  const threads = threadsOf(tile);
  const [left, right] = [
    new SharedTile(
      {
        name: "a",
        operand: a,
        origin: "m",
        bound: "numbers.rows",
        lines: tile.rows,
        own: tile.threadRows,
      },
      tile.depth,
      threads,
    ),
    new SharedTile(
      {
        name: "b",
        operand: b,
        origin: "n",
        bound: "numbers.columns",
        lines: tile.columns,
        own: tile.threadColumns,
      },
      tile.depth,
      threads,
    ),
  ];
  const both = (part: (side: SharedTile) => readonly string[]) => [left, right].flatMap(part);
  const fours = range(tile.threadColumns / 4);
  const cells = range(tile.threadRows).flatMap((i) => fours.map((j) => [i, j] as const));
  const column = (j: number, lane: number) => `n + ${right.line(4 * j + lane)}`;
  // Halves are multiplied, and four products summed, as halves. These sums are added to float32.
  const target = halved ? "p" : "c";
  const multiply = [
    ...(halved ? cells.map(([i, j]) => `var p${i}_${j} = V(0.0);`) : []),
    ...both((side) => side.openFour()),
    ...range(4).flatMap((lane) => [
      "{",
      ...both((side) => side.openOne(lane)),
      ...cells.map(([i, j]) =>
        `${target}${i}_${j} += a_${Math.floor(i / 4)}.${LANES[i % 4]} * b_${j};`
      ),
      "}",
    ]),
    ...(halved ? cells.map(([i, j]) => `c${i}_${j} += vec4<f32>(p${i}_${j});`) : []),
  ];
  const store = ([i, j]: readonly [number, number]) =>
    width === 4
      ? [
        `if (row < numbers.rows && ${column(j, 0)} < numbers.columns) { store(row, ${
          column(j, 0)
        }, z, c${i}_${j}); }`,
      ]
      : range(4).map((lane) =>
        `if (row < numbers.rows && ${column(j, lane)} < numbers.columns) { store(row, ${
          column(j, lane)
        }, z, c${i}_${j}.${LANES[lane]}); }`
      );
  const lines = [
    `let my_a = local / ${tile.columns / tile.threadColumns}u;`,
    `let my_b = local % ${tile.columns / tile.threadColumns}u;`,
    ...both((side) => side.setup()),
    ...fours.map((j) =>
      `let first${j} = ${
        width === 4
          ? `first(${column(j, 0)})`
          : `vec4<f32>(${range(4).map((lane) => `first(${column(j, lane)})`)})`
      };`
    ),
    ...cells.map(([i, j]) => `var c${i}_${j} = first${j};`),
    "var at = begin;",
    ...both((side) => side.fetch()),
    "while (at < end) {",
    ...both((side) => side.put()),
    "workgroupBarrier();",
    `at += ${tile.depth}u;`,
    "if (at < end) {",
    ...both((side) => side.fetch()),
    "}",
    `for (var k = 0u; k < ${tile.depth}u; k += 4u) {`,
    ...multiply,
    "}",
    "workgroupBarrier();",
    "}",
    ...range(tile.threadRows).flatMap((i) => [
      `{ let row = m + ${left.line(i)};`,
      ...fours.flatMap((j) => store([i, j])),
      "}",
    ]),
  ];
  return {
    ...base,
    declarations: `alias V = ${vector};
${left.declaration}
${right.declaration}
${base.declarations}`,
    workgroupSize: threads,
    body: `
  if (group >= numbers.tiles) { return; }
  let across = (numbers.columns + ${tile.columns - 1}u) / ${tile.columns}u;
  let down = (numbers.rows + ${tile.rows - 1}u) / ${tile.rows}u;
  let n = (group % across) * ${tile.columns}u;
  let m = ((group / across) % down) * ${tile.rows}u;
  let z = group / (across * down);${PIECE}
${lines.map((line) => `  ${line}`).join("\n")}`,
  };
}
