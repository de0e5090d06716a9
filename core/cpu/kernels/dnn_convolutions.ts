/** Convolutions by the system's oneDNN. */
import type { ConvAttributes } from "../../ops.ts";
import type { Shape } from "../../shape.ts";
import type { Dnn } from "../dnn/library.ts";
import { type Ending, type Places, Plan } from "../dnn/plan.ts";
import { type Direction, Primitives } from "../dnn/primitives.ts";
import type { Machine } from "../threads.ts";
import { addressOf, type ProductKernels } from "./products.ts";

/** How many plans are kept; the least recently used is dropped first. */
const MOST_PLANS = 256;
/** The minimum number of image channels for which the library computes the images' gradient faster than the other
 * kernels. */
const FEWEST_CHANNELS = 8;

/** Convolutions by oneDNN, for a machine with that library. */
export class DnnConvolutions {
  readonly #machine: Machine;
  readonly #primitives: Primitives;
  /** By shapes and direction; undefined if the library has no fast implementation. */
  readonly #plans = new Map<string, Plan | undefined>();

  /** Uses the library that the machine was started with. */
  constructor(machine: Machine, dnn: Dnn) {
    this.#machine = machine;
    this.#primitives = new Primitives(dnn, machine.memory.memory);
  }

  /** The kernels of products. Convolutions use the library if it has a fast implementation.
   * @param others the kernels for everything else
   */
  kernels(others: ProductKernels): ProductKernels {
    return {
      matmul: others.matmul,
      conv2d: (inputs, outputs, attributes) => {
        const [x, w, bias] = inputs, [y] = outputs;
        const places = { x: addressOf(x), w: addressOf(w), y: addressOf(y), bias: addressOf(bias) };
        const ending = { bias: bias !== undefined, relu: attributes.relu };
        const shapes = [x.shape, w.shape, y.shape] as const;
        if (this.#run("forward", shapes, attributes, ending, places)) return;
        others.conv2d(inputs, outputs, attributes);
      },
      convTranspose2d: (inputs, outputs, attributes) => {
        const [y, w, bias] = inputs, [x] = outputs;
        const places = { x: addressOf(x), w: addressOf(w), y: addressOf(y), bias: addressOf(bias) };
        const ending = { bias: bias !== undefined, relu: attributes.relu };
        const shapes = [x.shape, w.shape, y.shape] as const;
        const wide = x.shape[3] >= FEWEST_CHANNELS;
        if (wide && this.#run("images", shapes, attributes, ending, places)) return;
        others.convTranspose2d(inputs, outputs, attributes);
      },
      conv2dFilter: (inputs, outputs, attributes) => {
        const [x, y] = inputs, [w] = outputs;
        const places = { x: addressOf(x), w: addressOf(w), y: addressOf(y), bias: 0 };
        const shapes = [x.shape, w.shape, y.shape] as const;
        const ending = { bias: false, relu: false };
        if (this.#run("filter", shapes, attributes, ending, places)) return;
        others.conv2dFilter(inputs, outputs, attributes);
      },
    };
  }

  /** Frees the library's resources. */
  close(): void {
    for (const plan of this.#plans.values()) plan?.release();
    this.#plans.clear();
  }

  /** Computes a call, if the library has a fast implementation for it. */
  #run(
    direction: Direction,
    [x, w, y]: readonly [Shape, Shape, Shape],
    { stride, padding, dilation }: ConvAttributes,
    ending: Ending,
    places: Places,
  ): boolean {
    const { bias, relu } = ending;
    const key = [direction, x, w, y, stride, padding, dilation, bias, relu].join();
    const known = this.#plans.has(key);
    let plan = this.#plans.get(key);
    if (known) {
      this.#plans.delete(key);
    } else {
      const geometry = { x, w, y, stride, padding, dilation };
      plan = Plan.make(this.#machine, this.#primitives, direction, geometry, ending);
    }
    this.#plans.set(key, plan);
    if (this.#plans.size > MOST_PLANS) {
      const [oldest] = this.#plans.keys();
      this.#plans.get(oldest)?.release();
      this.#plans.delete(oldest);
    }
    plan?.run(places);
    return plan !== undefined;
  }
}
