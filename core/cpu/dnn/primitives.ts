/** Makes oneDNN's objects: memory descriptions, convolutions and reorders. */
import type { Pair } from "../../ops.ts";
import type { Shape } from "../../shape.ts";
import { baseOf } from "../libraries.ts";
import { created, type Dnn, succeed } from "./library.ts";

/** A description of memory: a dnnl_memory_desc_t. */
export type Description = Uint8Array<ArrayBuffer>;

/** What to compute: y from x and w, x from y and w, or w from x and y. */
export type Direction = "forward" | "images" | "filter";

/** A convolution of x [batch, height, width, inputs] with w [kernelY, kernelX, inputs, outputs] to
 * y [batch, rows, columns, outputs]. */
export interface Convolution {
  readonly x: Shape;
  readonly w: Shape;
  readonly y: Shape;
  readonly stride: Pair;
  readonly dilation: Pair;
  /** Rows above and columns left of x. */
  readonly low: Pair;
  /** Rows below and columns right of x; negative if y does not reach the last ones. */
  readonly high: Pair;
  /** Whether there is a bias (forward only). */
  readonly bias: boolean;
  /** Whether to apply relu (forward only). */
  readonly relu: boolean;
}

/** A primitive that runs on any thread. */
export interface Primitive {
  /** The library's handle. */
  readonly handle: bigint;
  /** The descriptions of its operands, by their numbers. */
  readonly operands: ReadonlyMap<number, Description>;
  /** Bytes of scratch memory; 0: none. */
  readonly scratchBytes: number;
}

/** The numbers of operands. */
export const ROLE = {
  x: 1,
  y: 17,
  w: 33,
  bias: 41,
  scratch: 80,
  xGradient: 129,
  yGradient: 145,
  wGradient: 161,
} as const;

// Constants from the library's headers.
const DESCRIPTION_BYTES = 696; // sizeof(dnnl_memory_desc_t)
const CONVOLUTION_BYTES = 8192; // at least sizeof(dnnl_convolution_desc_t)
const FLOAT32 = 3, ANY_FORMAT = 1;
const FORWARD = 64, DIRECT = 1, RELU = 31;
const USER_SCRATCHPAD = 1;
const QUERY_NAME = 8, QUERY_SCRATCH = 136;
/** The query for the layout of the filter, which the library chooses. */
const QUERY_FILTER = { forward: 131, images: 131, filter: 132 } as const;

/** Names of the library's generic implementations, which are slower than the device's own kernels. */
const SLOW = /\b(?:ref|gemm)\b/;

const lengths = (values: readonly number[]): BigInt64Array<ArrayBuffer> =>
  BigInt64Array.from(values, BigInt);

/** Makes the primitives of a oneDNN. */
export class Primitives {
  readonly #dnn: Dnn;
  readonly #plain: bigint;
  readonly #relu: bigint;
  readonly #base: bigint;

  /** Uses a loaded library on the memory of the kernels. */
  constructor(dnn: Dnn, memory: WebAssembly.Memory) {
    this.#dnn = dnn;
    this.#base = baseOf(memory);
    const { symbols } = dnn;
    const attributes = () => {
      const made = created((to) => symbols.dnnl_primitive_attr_create(to));
      succeed(symbols.dnnl_primitive_attr_set_scratchpad_mode(made, USER_SCRATCHPAD));
      return made;
    };
    this.#plain = attributes();
    this.#relu = attributes();
    const ending = created((to) => symbols.dnnl_post_ops_create(to));
    succeed(symbols.dnnl_post_ops_append_eltwise(ending, 1, RELU, 0, 0));
    succeed(symbols.dnnl_primitive_attr_set_post_ops(this.#relu, ending));
  }

  /** A filter [kernelY, kernelX, inputs, outputs] in the layout of a tensor. */
  plainFilter([height, width, inputs, outputs]: Shape): Description {
    const strides = [1, outputs, width * inputs * outputs, inputs * outputs];
    return this.#strided([outputs, inputs, height, width], strides);
  }

  /** The part of a filter from its output channel `first` on. */
  partOfFilter(whole: Description, w: Shape, first: number, count: number): Description {
    const part = new Uint8Array(DESCRIPTION_BYTES);
    const [sizes, offsets] = [[count, w[2], w[0], w[1]], [first, 0, 0, 0]].map(lengths);
    succeed(this.#dnn.symbols.dnnl_memory_desc_init_submemory(part, whole, sizes, offsets));
    return part;
  }

  /** The size in bytes of the memory described. */
  bytesOf(description: Description): number {
    return Number(this.#dnn.symbols.dnnl_memory_desc_get_size(description));
  }

  /** A convolution or one of its gradients.
   * @param packed the layout of the filter; by default the one that the library chooses
   * @returns undefined if the library has no fast implementation
   */
  convolution(
    direction: Direction,
    convolution: Convolution,
    packed?: Description,
  ): Primitive | undefined {
    const { symbols, source } = this.#dnn;
    const { x, w, y, relu } = convolution;
    const [images, results] = [this.#channelsLast(x), this.#channelsLast(y)];
    const filter = packed ?? this.#anyFilter(w);
    const bias = convolution.bias ? this.#strided([w[3]], [1]) : null;
    const wanted = new Uint8Array(CONVOLUTION_BYTES);
    const { stride, dilation, low, high } = convolution;
    const gaps = dilation.map((step) => step - 1);
    const window = [lengths(stride), lengths(gaps), lengths(low), lengths(high)] as const;
    let status: number;
    switch (direction) {
      case "forward":
        status = symbols.dnnl_dilated_convolution_forward_desc_init(
          wanted,
          FORWARD,
          DIRECT,
          images,
          filter,
          bias,
          results,
          ...window,
        );
        break;
      case "images":
        status = symbols.dnnl_dilated_convolution_backward_data_desc_init(
          wanted,
          DIRECT,
          images,
          filter,
          results,
          ...window,
        );
        break;
      case "filter":
        status = symbols.dnnl_dilated_convolution_backward_weights_desc_init(
          wanted,
          DIRECT,
          images,
          filter,
          null,
          results,
          ...window,
        );
    }
    if (status !== 0) return undefined;
    const description = new BigUint64Array(1), attributes = relu ? this.#relu : this.#plain;
    const { engine } = source;
    if (symbols.dnnl_primitive_desc_create(description, wanted, attributes, engine, 0n) !== 0) {
      return undefined;
    }
    try {
      if (SLOW.test(this.#nameOf(description[0]))) return undefined;
      const layout = this.#query(description[0], QUERY_FILTER[direction]);
      const roles = direction === "forward"
        ? [ROLE.x, ROLE.w, ROLE.y]
        : direction === "images"
        ? [ROLE.xGradient, ROLE.w, ROLE.yGradient]
        : [ROLE.x, ROLE.wGradient, ROLE.yGradient];
      const operands = new Map<number, Description>([
        [roles[0], images],
        [roles[1], layout],
        [roles[2], results],
        ...bias === null ? [] : [[ROLE.bias, bias]] as const,
      ]);
      return this.#finish(description[0], operands);
    } finally {
      symbols.dnnl_primitive_desc_destroy(description[0]);
    }
  }

  /** Converts memory to another layout. */
  reorder(from: Description, to: Description): Primitive {
    const { symbols, source: { engine } } = this.#dnn;
    const description = created((made) =>
      symbols.dnnl_reorder_primitive_desc_create(made, from, engine, to, engine, this.#plain)
    );
    try {
      return this.#finish(description, new Map([[ROLE.x, from], [ROLE.y, to]]));
    } finally {
      symbols.dnnl_primitive_desc_destroy(description);
    }
  }

  /** A memory object without an address; `place` sets it. */
  memory(description: Description): bigint {
    const { symbols, source: { engine } } = this.#dnn;
    return created((to) => symbols.dnnl_memory_create(to, description, engine, 0n));
  }

  /** Sets the address of a memory object, within the kernels' memory. */
  place(memory: bigint, address: number): void {
    const { dnnl_memory_set_data_handle: place } = this.#dnn.symbols;
    succeed(place(memory, this.#base + BigInt(address)));
  }

  /** Frees objects made here, when nothing uses them any more. */
  release(primitives: Iterable<Primitive>, memories: Iterable<bigint>): void {
    for (const memory of memories) this.#dnn.symbols.dnnl_memory_destroy(memory);
    for (const { handle } of primitives) this.#dnn.symbols.dnnl_primitive_destroy(handle);
  }

  /** Images [batch, height, width, channels] in the layout of a tensor. */
  #channelsLast([batch, height, width, channels]: Shape): Description {
    const strides = [height * width * channels, 1, width * channels, channels];
    return this.#strided([batch, channels, height, width], strides);
  }

  #strided(sizes: readonly number[], strides: readonly number[]): Description {
    const made = new Uint8Array(DESCRIPTION_BYTES), [all, steps] = [sizes, strides].map(lengths);
    const { dnnl_memory_desc_init_by_strides: describe } = this.#dnn.symbols;
    succeed(describe(made, sizes.length, all, FLOAT32, steps));
    return made;
  }

  #anyFilter([height, width, inputs, outputs]: Shape): Description {
    const made = new Uint8Array(DESCRIPTION_BYTES);
    const sizes = lengths([outputs, inputs, height, width]);
    succeed(this.#dnn.symbols.dnnl_memory_desc_init_by_tag(made, 4, sizes, FLOAT32, ANY_FORMAT));
    return made;
  }

  #nameOf(description: bigint): string {
    const name = created((to) =>
      this.#dnn.symbols.dnnl_primitive_desc_query(description, QUERY_NAME, 0, to)
    );
    const pointer = Deno.UnsafePointer.create(name);
    return pointer === null ? "ref" : Deno.UnsafePointerView.getCString(pointer);
  }

  #query(description: bigint, what: number): Description {
    const pointer = this.#dnn.symbols.dnnl_primitive_desc_query_md(description, what, 0);
    if (pointer === null) throw new Error(`Cannot ask oneDNN: it must know ${what}, got nothing`);
    const found = new Uint8Array(DESCRIPTION_BYTES);
    new Deno.UnsafePointerView(pointer).copyInto(found);
    return found;
  }

  #finish(description: bigint, operands: Map<number, Description>): Primitive {
    const { symbols } = this.#dnn;
    const scratch = this.#query(description, QUERY_SCRATCH), scratchBytes = this.bytesOf(scratch);
    if (scratchBytes > 0) operands.set(ROLE.scratch, scratch);
    const handle = created((to) => symbols.dnnl_primitive_create(to, description));
    return { handle, operands, scratchBytes };
  }
}
