/** Modules: named parameters, buffers and counters, and their state dictionary. */
import { Tensor } from "../core/tensor.ts";
import type { RandomKey } from "../core/random.ts";
import type { HostTensor } from "../core/host_tensor.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { partKey } from "./initializers.ts";
import type { Replicas } from "./replicas.ts";

/** An integer on the host that is part of a module's state, such as a flag or a number of steps. */
export class Counter {
  /** The current value, a 32-bit integer. */
  value: number;

  /** Starts at `value`. */
  constructor(value = 0) {
    this.value = value;
  }
}

/** The whole state of a module, by name. */
export type StateDictionary = ReadonlyMap<string, HostTensor>;

/** Something with parameters. The public fields of a module are its state. A tensor that requires a gradient is a
 * parameter, any other tensor is a buffer, and a `Counter` is a counter. Fields that are modules are its children, and
 * so are modules in arrays and maps. Names are paths of fields: `encoder.layers.0.weight`. A value with several paths
 * appears once, under the first.
 *
 * ```ts
 * import { Linear, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 3, 2, { key: randomKey(1, "layer") });
 * assert.deepEqual([...layer.namedParameters().keys()], ["weight", "bias"]);
 * ```
 */
export abstract class Module implements Disposable {
  /** The parameters by name, in the order of the fields. */
  namedParameters(): Map<string, Tensor> {
    return select(this, (field) => field instanceof Tensor && field.requiresGradient) as Map<
      string,
      Tensor
    >;
  }

  /** The parameters, in the order of the fields. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** The tensors that are state but not learned, by name. */
  namedBuffers(): Map<string, Tensor> {
    return select(this, (field) => field instanceof Tensor && !field.requiresGradient) as Map<
      string,
      Tensor
    >;
  }

  /** This module and those inside it, by path. The path of the module itself is empty. */
  namedModules(): Map<string, Module> {
    const found = new Map<string, Module>();
    visit(this, (path, value) => {
      if (value instanceof Module) found.set(path, value);
    });
    return found;
  }

  /** Reads the whole state to the host. */
  async stateDictionary(): Promise<StateDictionary> {
    const entries = [...select(this, () => true)].map(
      async ([name, field]): Promise<[string, HostTensor]> => [name, await readField(field)],
    );
    return new Map(await Promise.all(entries));
  }

  /** Overwrites the whole state in place.
   * @throws {TypeError} an entry is missing, unknown, or has another shape or dtype; then nothing is changed
   */
  loadStateDictionary(state: StateDictionary): void {
    const fields = select(this, () => true);
    for (const name of state.keys()) {
      if (!fields.has(name)) {
        throw new TypeError(`Cannot load the state: the module has no entry ${name}`);
      }
    }
    for (const [name, field] of fields) checkEntry(name, field, state.get(name));
    for (const [name, field] of fields) {
      const { values } = state.get(name)!;
      if (field instanceof Counter) field.value = values[0];
      else field.write(values);
    }
  }

  /** Frees the memory of the whole state. */
  dispose(): void {
    for (const field of select(this, () => true).values()) {
      if (field instanceof Tensor) field.dispose();
    }
  }

  /** The same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Makes a module's parameters constant until the result is disposed of. Gradients still pass through the module to its
 * input, but none is recorded or computed for its weights. Meanwhile the parameters count as buffers.
 *
 * ```ts
 * import { freeze, Linear, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 3, 2, { key: randomKey(1, "layer") });
 * {
 *   using _frozen = freeze(layer);
 *   assert.equal(layer.forward(device.tensor([1, 2, 3], [1, 3])).requiresGradient, false);
 * }
 * assert.equal(layer.parameters().length, 2);
 * ```
 * @returns disposing of it turns the tensors into parameters again; to freeze for good, ignore it
 */
export function freeze(module: Module): Disposable {
  const parameters = module.parameters();
  const mark = (wanted: boolean): void => {
    for (const tensor of parameters) tensor.requiresGradient = wanted;
  };
  mark(false);
  return { [Symbol.dispose]: () => mark(true) };
}

type Field = Tensor | Counter;

async function readField(field: Field): Promise<HostTensor> {
  if (field instanceof Counter) return { shape: [], values: Int32Array.of(field.value) };
  const values = field.dtype === "float32" ? await field.floats() : await field.integers();
  return { shape: field.shape, values };
}

function checkEntry(name: string, field: Field, entry: HostTensor | undefined): void {
  const { dtype, shape } = field instanceof Counter
    ? { dtype: "int32", shape: [] } as const
    : field;
  if (entry === undefined) {
    throw new TypeError(`Cannot load the state: the entry ${name} is missing`);
  }
  const got = entry.values instanceof Float32Array ? "float32" : "int32";
  const count = entry.values.length;
  if (got !== dtype || !sameShape(entry.shape, shape) || count !== sizeOf(shape)) {
    throw new TypeError(
      `Cannot load the state: ${name} must be ${dtype} ${showShape(shape)}, got ${got} ${
        showShape(entry.shape)
      } with ${count} values`,
    );
  }
}

function select(module: Module, wanted: (field: Field) => boolean): Map<string, Field> {
  const found = new Map<string, Field>();
  visit(module, (path, value) => {
    if (!(value instanceof Module) && wanted(value)) found.set(path, value);
  });
  return found;
}

/** Calls `hear` once for a module and for each of the modules, tensors and counters in it. */
function visit(module: Module, hear: (path: string, value: Module | Field) => void): void {
  const seen = new Set<unknown>();
  const enter = (value: unknown, path: string): void => {
    if (seen.has(value)) return;
    seen.add(value);
    if (value instanceof Tensor || value instanceof Counter) hear(path, value);
    else if (value instanceof Module || value instanceof Map || Array.isArray(value)) {
      if (value instanceof Module) hear(path, value);
      const children = value instanceof Map ? value : Object.entries(value);
      for (const [key, child] of children) {
        enter(child, path === "" ? key : `${path}.${key}`);
      }
    }
  };
  enter(module, "");
}

/** What a layer gets besides its input. */
export interface Context {
  /** Whether the model is training. If so, dropout is on and batch normalisation uses the statistics of the batch. */
  readonly training: boolean;
  /** The key of the layer's random numbers; different for each layer and step. */
  readonly key: RandomKey;
  /** The processes that train together, one by default; all have the same key, each an equal part of the batch. */
  readonly replicas?: Replicas;
}

/** A module that maps one tensor to one tensor. */
export abstract class Layer extends Module {
  /** Applies the layer.
   * @param context by default evaluation
   */
  abstract forward(x: Tensor, context?: Context): Tensor;
}

/** Layers one after another.
 *
 * ```ts
 * import { Activation, Linear, openDevice, randomKey, relu, Sequential } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = (name: string) => randomKey(1, name);
 * const mlp = new Sequential([
 *   new Linear(device, 3, 8, { key: key("a") }),
 *   new Activation(relu),
 *   new Linear(device, 8, 2, { key: key("b") }),
 * ]);
 * console.log(mlp.forward(device.tensor([1, 2, 3], [1, 3])).shape);
 * ```
 */
export class Sequential extends Layer {
  /** The layers, in order. */
  readonly layers: readonly Layer[];

  /** Chains the layers. */
  constructor(layers: readonly Layer[]) {
    super();
    this.layers = layers;
  }

  /** Applies the layers in order, each with its own key. */
  forward(x: Tensor, context?: Context): Tensor {
    return this.layers.reduce((value, layer, index) => {
      const own = context && { ...context, key: partKey(context.key, index) };
      return layer.forward(value, own);
    }, x);
  }
}

/** A function as a layer, without state. */
export class Activation extends Layer {
  readonly #apply: (x: Tensor) => Tensor;

  /** Wraps the function. */
  constructor(apply: (x: Tensor) => Tensor) {
    super();
    this.#apply = apply;
  }

  /** Applies the function. */
  forward(x: Tensor): Tensor {
    return this.#apply(x);
  }
}
