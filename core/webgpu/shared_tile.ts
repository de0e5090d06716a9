/** The part of an operand that the threads of a workgroup share. It is loaded and read four elements at a time. */
import type { Operand } from "./product.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const LANES = "xyzw";

/** One operand's part of a tile: its lines, and how the threads share them. */
export interface TileSide {
  /** The shader has `line_NAME`, `load_NAME` and `E_NAME`, as `productFrame` defines them. */
  readonly name: "a" | "b";
  readonly operand: Pick<Operand, "contiguous" | "vectors">;
  /** The first line of the tile, and the number of the operand's lines, in WGSL. */
  readonly origin: string;
  readonly bound: string;
  /** The number of lines of the tile, and of each thread's part. */
  readonly lines: number;
  readonly own: number;
}

/** WGSL of one operand's part of a tile. Elements are stored in groups of four: four along the depth of a line if the
 * operand is contiguous that way, with a gap after each line; otherwise four lines at the same depth. Thread `my_NAME`
 * among its neighbours owns groups of four neighbouring lines. Simultaneous reads of the threads hit separate banks. */
export class SharedTile {
  readonly #side: TileSide;
  readonly #depth: number;
  readonly #threads: number;

  /** @param depth the depth of the tile
   * @param threads the number of threads of the workgroup, which load the tile
   */
  constructor(side: TileSide, depth: number, threads: number) {
    this.#side = side;
    this.#depth = depth;
    this.#threads = threads;
  }

  get #deep(): boolean {
    return this.#side.operand.contiguous === "depth";
  }

  /** Groups of four elements: in one line, or in one depth. */
  get #across(): number {
    return (this.#deep ? this.#depth : this.#side.lines) / 4;
  }

  /** The variable of the workgroup. */
  get declaration(): string {
    const { name, lines } = this.#side;
    const size = this.#deep ? lines * (this.#across + 1) : this.#depth * this.#across;
    return `var<workgroup> tile_${name}: array<V, ${size}>;`;
  }

  get #turns(): readonly number[] {
    return range(this.#side.lines * this.#depth / 4 / this.#threads);
  }

  /** Which group of the tile a thread loads in a turn. */
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

  /** Statements that write what was read to workgroup memory. */
  put(): readonly string[] {
    const { name } = this.#side;
    return this.#turns.map((turn) => {
      const { along, beside } = this.#group(turn);
      const at = this.#deep
        ? `${this.#place(beside)} * ${this.#across + 1}u`
        : `(${beside}) * ${this.#across}u`;
      return `tile_${name}[${at} + ${along}] = next_${name}${turn};`;
    });
  }

  /** The number of neighbouring threads that share the lines. */
  get #owners(): number {
    return this.#side.lines / this.#side.own;
  }

  /** The position of a line: first come the first lines of every thread's four, then the second ones. */
  #place(line: string): string {
    const owners = this.#owners;
    const four = `((${line}) / ${4 * owners}u * 4u + (${line}) % 4u)`;
    return `(${four} * ${owners}u + (${line}) / 4u % ${owners}u)`;
  }

  /** Line i of a thread's own lines, in WGSL, counted from the first line of the tile. */
  line(i: number): string {
    return `(4u * my_${this.#side.name} + ${Math.floor(i / 4) * 4 * this.#owners + i % 4}u)`;
  }

  /** Statements that read a thread's own lines, four of the depth from `k` on. */
  openFour(): readonly string[] {
    const { name, own } = this.#side;
    if (!this.#deep) return [];
    return range(own).map((i) =>
      `let ${name}${i} = tile_${name}[(my_${name} + ${i * this.#owners}u) * ${
        this.#across + 1
      }u + k / 4u];`
    );
  }

  /** Statements that load a thread's own lines at depth `k + lane` in groups of four, as `${name}_${four}`. */
  openOne(lane: number): readonly string[] {
    const { name, own } = this.#side;
    return range(own / 4).map((four) => {
      const value = this.#deep
        ? `V(${range(4).map((l) => `${name}${4 * four + l}.${LANES[lane]}`)})`
        : `tile_${name}[(k + ${lane}u) * ${this.#across}u + my_${name} + ${four * this.#owners}u]`;
      return `let ${name}_${four} = ${value};`;
    });
  }
}
