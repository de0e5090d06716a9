/** Tiles in workgroup memory: the threads of a workgroup bring in the operands together, four elements at a time, and
 * share them. While a tile is multiplied, the next one is on its way. */
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
const LANES = "xyzw";

/** One operand's part of the tile: its lines, and how the threads share them. */
interface Side {
  readonly name: "a" | "b";
  readonly operand: Operand;
  /** Where the tile begins among the operand's lines, and how many those are, in WGSL. */
  readonly origin: string;
  readonly bound: string;
  /** Lines of the tile, and of each thread's part. */
  readonly lines: number;
  readonly own: number;
}

/** How a side lies in workgroup memory, by four: four of the depth of a line, where the operand is contiguous so, with
 * a gap behind each line that keeps threads off each other's banks; else four lines of a depth. */
class Shared {
  readonly #side: Side;
  readonly #depth: number;
  readonly #threads: number;

  constructor(side: Side, tile: WorkgroupTiling) {
    this.#side = side;
    this.#depth = tile.depth;
    this.#threads = threadsOf(tile);
  }

  get #deep(): boolean {
    return this.#side.operand.contiguous === "depth";
  }

  /** Groups of four elements: in one line, or in one depth. */
  get #across(): number {
    return (this.#deep ? this.#depth : this.#side.lines) / 4;
  }

  get declaration(): string {
    const { name, lines } = this.#side;
    const size = this.#deep ? lines * (this.#across + 1) : this.#depth * this.#across;
    return `var<workgroup> tile_${name}: array<V, ${size}>;`;
  }

  get #turns(): readonly number[] {
    return range(this.#side.lines * this.#depth / 4 / this.#threads);
  }

  /** Which group of the tile a thread brings in at a turn. */
  #group(turn: number): { readonly along: string; readonly beside: string } {
    const group = `(local + ${turn * this.#threads}u)`;
    return { along: `${group} % ${this.#across}u`, beside: `${group} / ${this.#across}u` };
  }

  /** Statements that find the lines a thread will read. */
  setup(): readonly string[] {
    const { name, operand, origin, bound } = this.#side;
    const find = (label: string, line: string, last: number) =>
      `let line_${name}${label} = line_${name}(min(${origin} + ${line}, ${bound} - ${last}u), item);`;
    return this.#turns.flatMap((turn) => {
      const { along, beside } = this.#group(turn);
      const variable = `var next_${name}${turn} = V(0.0);`;
      if (this.#deep) return [find(`${turn}`, beside, 1), variable];
      if (operand.vectors) return [find(`${turn}`, `4u * (${along})`, 4), variable];
      const lines = range(4).map((q) => find(`${turn}_${q}`, `4u * (${along}) + ${q}u`, 1));
      return [...lines, variable];
    });
  }

  /** Statements that read the part of the tile at depth `at`. */
  fetch(): readonly string[] {
    const { name, operand: { vectors } } = this.#side;
    return this.#turns.map((turn) => {
      const { along, beside } = this.#group(turn);
      const load = (label: string, k: string, last: number) =>
        `load_${name}(line_${name}${label}, min(${k}, max(end, ${last}u) - ${last}u))`;
      const one = (label: string, k: string) =>
        `select(E_${name}(0.0), ${load(label, k, 1)}, ${k} < end)`;
      const whole = (last: number) =>
        `select(V(0.0), ${load(`${turn}`, "k", last)}, vec4<bool>(k < end))`;
      const value = this.#deep
        ? vectors ? whole(4) : `V(${range(4).map((q) => one(`${turn}`, `(k + ${q}u)`))})`
        : vectors
        ? whole(1)
        : `V(${range(4).map((q) => one(`${turn}_${q}`, "k"))})`;
      const k = this.#deep ? `4u * (${along})` : beside;
      return `{ let k = at + ${k}; next_${name}${turn} = ${value}; }`;
    });
  }

  /** Statements that put what was read into workgroup memory. */
  put(): readonly string[] {
    const { name } = this.#side;
    return this.#turns.map((turn) => {
      const { along, beside } = this.#group(turn);
      const stride = this.#across + (this.#deep ? 1 : 0);
      return `tile_${name}[(${beside}) * ${stride}u + ${along}] = next_${name}${turn};`;
    });
  }

  /** Line i of a thread's own, in WGSL, from the tile's first: neighbouring threads have neighbouring lines, or fours. */
  line(i: number): string {
    const { name, lines, own } = this.#side;
    const threads = lines / own;
    return this.#deep
      ? `(my_${name} + ${i * threads}u)`
      : `(4u * my_${name} + ${Math.floor(i / 4) * 4 * threads + i % 4}u)`;
  }

  /** Statements that read a thread's own lines, four of the depth from `k` on. */
  openFour(): readonly string[] {
    const { name, own } = this.#side;
    if (!this.#deep) return [];
    return range(own).map((i) =>
      `let ${name}${i} = tile_${name}[${this.line(i)} * ${this.#across + 1}u + k / 4u];`
    );
  }

  /** Statements that bring a thread's own lines at depth `k + lane` by four, as `${name}_${four}`. */
  openOne(lane: number): readonly string[] {
    const { name, lines, own } = this.#side;
    return range(own / 4).map((four) => {
      const value = this.#deep
        ? `V(${range(4).map((l) => `${name}${4 * four + l}.${LANES[lane]}`)})`
        : `tile_${name}[(k + ${lane}u) * ${this.#across}u + my_${name} + ${four * lines / own}u]`;
      return `let ${name}_${four} = ${value};`;
    });
  }
}

/** Columns that are stored at once: four where they are neighbours and none straddles the edge. */
export function storedWidth({ b, columns }: Product): 1 | 4 {
  return b.contiguous === "line" && columns % 4 === 0 ? 4 : 1;
}

/** The shader of a product in such tiles; the workgroups are numbered over tiles, row by row, then over pieces. */
export function workgroupShader(product: Product, tile: WorkgroupTiling): ComputeShader {
  const { a, b } = product;
  const halved = isHalved(product);
  const width = storedWidth(product);
  const vector = elementType(halved ? "f16" : "f32", true);
  const base = productFrame(product, { a: a.vectors, b: b.vectors, output: width === 4 });
  const [left, right] = [
    new Shared({
      name: "a",
      operand: a,
      origin: "m",
      bound: "numbers.rows",
      lines: tile.rows,
      own: tile.threadRows,
    }, tile),
    new Shared({
      name: "b",
      operand: b,
      origin: "n",
      bound: "numbers.columns",
      lines: tile.columns,
      own: tile.threadColumns,
    }, tile),
  ];
  const both = (part: (side: Shared) => readonly string[]) => [left, right].flatMap(part);
  const fours = range(tile.threadColumns / 4);
  const cells = range(tile.threadRows).flatMap((i) => fours.map((j) => [i, j] as const));
  const column = (j: number, lane: number) => `n + ${right.line(4 * j + lane)}`;
  // Halves are multiplied, and four products summed, as halves; what they add to is float32.
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
    workgroupSize: threadsOf(tile),
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
