/** A convolution prepared for certain shapes: primitives, memory objects and the tasks of the threads. */
import type { Machine } from "../threads.ts";
import { cut, type Geometry, type Piece } from "./pieces.ts";
import {
  type Convolution,
  type Description,
  type Direction,
  type Primitive,
  type Primitives,
  ROLE,
} from "./primitives.ts";

/** The addresses of the operands of a call. */
export interface Places {
  readonly x: number;
  readonly w: number;
  readonly y: number;
  /** 0: none. */
  readonly bias: number;
}

/** What to do with the results of a call. */
export interface Ending {
  /** Whether to add a bias. */
  readonly bias: boolean;
  /** Whether to apply relu. */
  readonly relu: boolean;
}

/** The addresses of a call, including those in the workspace: the filter in the library's layout, and scratch
 * memory. */
type Place = keyof Places | "packed" | "scratch";

interface Operand {
  readonly memory: bigint;
  readonly place: Place;
  readonly offset: number;
  /** Its last known address. */
  address: number;
}

interface Task {
  readonly operands: readonly Operand[];
  /** The list of dnnl_exec_arg_t, which must live as long as the task. */
  readonly list: BigUint64Array<ArrayBuffer>;
  /** The words that the kernels read; see assembly/dnn/tasks.ts. */
  readonly words: Int32Array<ArrayBuffer>;
  /** The address of the results that the kernels finish. */
  readonly finish: number;
}

/** The words of a task, and the first task's in the job. */
const TASK_WORDS = 10, TASKS = 64;
const ALIGNMENT = 64;
/** How many output channels of a filter one task lays out: a multiple of all block sizes of the library. */
const CHANNELS = 64;
/** The minimum number of floats of a filter per task. */
const FILTER_FLOATS = 1 << 15;
const MOST_FILTER_TASKS = 16;

/** Prepares and runs a convolution, or one of its gradients, on tensors of certain shapes. */
export class Plan {
  readonly #machine: Machine;
  readonly #primitives: Primitives;
  readonly #direction: Direction;
  readonly #convolve: readonly Task[];
  readonly #lay: readonly Task[];
  readonly #made: readonly Primitive[];
  readonly #packedBytes: number;
  readonly #scratchBytes: number;

  private constructor(
    machine: Machine,
    primitives: Primitives,
    direction: Direction,
    geometry: Geometry,
    ending: Ending,
    pieces: ReadonlyMap<Piece, Primitive>,
    packed: Description,
  ) {
    this.#machine = machine;
    this.#primitives = primitives;
    this.#direction = direction;
    const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    this.#packedBytes = primitives.bytesOf(packed);
    const scratchBytes = [...pieces.values()].map((primitive) => aligned(primitive.scratchBytes));
    this.#scratchBytes = scratchBytes.reduce((sum, bytes) => sum + bytes, 0);
    const { x, y } = geometry;
    const later = ending.bias || ending.relu;
    let scratch = 0;
    this.#convolve = [...pieces].map(([piece, primitive], index) => {
      const start = ([, rows, columns, channels]: Geometry["x"], first: number) =>
        4 * (piece.image * rows + first) * columns * channels;
      const ofX = start(x, piece.x.first), ofY = start(y, piece.y.first);
      const part = direction === "filter" ? index * this.#packedBytes : 0;
      const finished = direction === "images" && later
        ? { rows: piece.images * (piece.x.last - piece.x.first) * x[2], columns: x[3], at: ofX }
        : undefined;
      const places = new Map<number, readonly [Place, number]>([
        [ROLE.x, ["x", ofX]],
        [ROLE.xGradient, ["x", ofX]],
        [ROLE.y, ["y", ofY]],
        [ROLE.yGradient, ["y", ofY]],
        [ROLE.w, ["packed", 0]],
        [ROLE.wGradient, ["packed", part]],
        [ROLE.bias, ["bias", 0]],
        [ROLE.scratch, ["scratch", scratch]],
      ]);
      scratch += scratchBytes[index];
      return this.#task(primitive, places, ending.relu, finished);
    });
    const layers = this.#layers(geometry.w, packed);
    const forth: readonly Place[] = direction === "filter" ? ["packed", "w"] : ["w", "packed"];
    this.#lay = layers.map((primitive) =>
      this.#task(
        primitive,
        new Map([[ROLE.x, [forth[0], 0]], [ROLE.y, [forth[1], 0]]] as const),
      )
    );
    this.#made = [...new Set(pieces.values()), ...layers];
  }

  /** Prepares a plan.
   * @returns undefined if the library has no fast implementation
   */
  static make(
    machine: Machine,
    primitives: Primitives,
    direction: Direction,
    geometry: Geometry,
    ending: Ending,
  ): Plan | undefined {
    const { stride, dilation, padding } = geometry;
    const known = new Map<string, Primitive>(), pieces = new Map<Piece, Primitive>();
    const filterRole = direction === "filter" ? ROLE.wGradient : ROLE.w;
    let packed: Description | undefined;
    const giveUp = () => {
      primitives.release(known.values(), []);
      return undefined;
    };
    for (const piece of cut(direction, geometry)) {
      const [rowsX, rowsY] = [piece.x, piece.y].map(({ first, last }) => last - first);
      if (rowsX <= 0 || rowsY <= 0 || piece.low < 0) return giveUp();
      const key = `${[piece.images, rowsX, rowsY, piece.low, piece.high]}`;
      let primitive = known.get(key);
      if (primitive === undefined) {
        const { x, w, y } = geometry;
        const convolution: Convolution = {
          x: [piece.images, rowsX, x[2], x[3]],
          w,
          y: [piece.images, rowsY, y[2], y[3]],
          stride,
          dilation,
          low: [piece.low, padding[1]],
          high: [
            piece.high,
            (y[2] - 1) * stride[1] + (w[1] - 1) * dilation[1] + 1 - padding[1] - x[2],
          ],
          bias: ending.bias && direction === "forward",
          relu: ending.relu && direction === "forward",
        };
        primitive = primitives.convolution(direction, convolution, packed);
        if (primitive === undefined) return giveUp();
        known.set(key, primitive);
        packed = primitive.operands.get(filterRole);
      }
      pieces.set(piece, primitive);
    }
    if (packed === undefined) return giveUp();
    return new Plan(machine, primitives, direction, geometry, ending, pieces, packed);
  }

  /** Computes one call. Returns when it is finished. */
  run(places: Places): void {
    const { exports, memory } = this.#machine;
    const filter = this.#direction === "filter";
    const packedBytes = this.#packedBytes * (filter ? this.#convolve.length : 1);
    const packed = memory.workspace(packedBytes + this.#scratchBytes);
    const all = { ...places, packed, scratch: packed + packedBytes };
    if (!filter) this.#runTasks(this.#lay, all);
    this.#runTasks(this.#convolve, all);
    if (!filter) return;
    const parts = this.#convolve.length;
    if (parts > 1) exports.dnnSum(packed, packed, this.#packedBytes / 4, parts);
    this.#runTasks(this.#lay, all);
  }

  /** Frees the library's resources. */
  release(): void {
    const tasks = [...this.#convolve, ...this.#lay];
    const memories = tasks.flatMap(({ operands }) => operands.map(({ memory }) => memory));
    this.#primitives.release(this.#made, memories);
  }

  #runTasks(tasks: readonly Task[], places: Readonly<Record<Place, number>>): void {
    for (const [index, { operands, words, finish }] of tasks.entries()) {
      for (const operand of operands) {
        const address = places[operand.place] + operand.offset;
        if (address === operand.address) continue;
        operand.address = address;
        this.#primitives.place(operand.memory, address);
      }
      words[8] = places.x + finish;
      words[9] = places.bias;
      this.#machine.describe(words, TASKS + index * TASK_WORDS);
    }
    this.#machine.exports.dnnRun(tasks.length);
  }

  #task(
    { handle, operands: described }: Primitive,
    places: ReadonlyMap<number, readonly [Place, number]>,
    relu = false,
    finish = { rows: 0, columns: 0, at: 0 },
  ): Task {
    const operands: Operand[] = [], list: bigint[] = [];
    for (const [role, description] of described) {
      const [place, offset] = places.get(role) ?? ["scratch", 0];
      const memory = this.#primitives.memory(description);
      operands.push({ memory, place, offset, address: 0 });
      list.push(BigInt(role), memory);
    }
    const argument = BigUint64Array.from(list);
    const pointer = Deno.UnsafePointer.value(Deno.UnsafePointer.of(argument));
    const words = new Int32Array(TASK_WORDS);
    words.set(new Int32Array(BigUint64Array.of(handle, pointer).buffer));
    words.set([operands.length, finish.rows, finish.columns, Number(relu)], 4);
    return { operands, list: argument, words, finish: finish.at };
  }

  /** The primitives that convert the filter to the library's layout, or its gradient to that of a tensor, some channels
   * each. */
  #layers(w: Geometry["w"], packed: Description): readonly Primitive[] {
    const plain = this.#primitives.plainFilter(w), outputs = w[3];
    const floats = w[0] * w[1] * w[2] * outputs;
    const count = Math.min(MOST_FILTER_TASKS, Math.ceil(floats / FILTER_FLOATS));
    const step = Math.ceil(outputs / count / CHANNELS) * CHANNELS;
    return Array.from({ length: Math.ceil(outputs / step) }, (_, index) => {
      const first = index * step, channels = Math.min(step, outputs - first);
      const [inTensor, inLibrary] = [plain, packed].map((whole) =>
        this.#primitives.partOfFilter(whole, w, first, channels)
      );
      return this.#direction === "filter"
        ? this.#primitives.reorder(inLibrary, inTensor)
        : this.#primitives.reorder(inTensor, inLibrary);
    });
  }
}
