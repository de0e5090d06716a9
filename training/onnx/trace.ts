/** Records the operations that a computation runs, as a graph over the tensors that it is given. */
import {
  type AnyKernel,
  type Buffer,
  type HostArray,
  type View,
  withKernels,
  wrapKernels,
} from "../../core/backend.ts";
import { withoutGradients } from "../../core/execute.ts";
import { type DType, sameShape, type Shape, sizeOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";

/** A value of a graph: an input, a constant, or what a node gives. */
export interface TracedValue {
  /** Its axes. */
  readonly shape: Shape;
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its elements, of a constant. */
  readonly constant?: HostArray;
}

/** An operation that was run. */
export interface TracedNode {
  /** One of the library's operations, `reshape` among them. */
  readonly name: string;
  /** Its operands. */
  readonly inputs: readonly TracedValue[];
  /** What it gives. */
  readonly outputs: readonly TracedValue[];
  /** Its attributes, of the operation's own type. */
  readonly attributes: unknown;
}

/** What was recorded. */
export interface Trace {
  /** What the computation was given. */
  readonly inputs: readonly TracedValue[];
  /** The nodes that lead to the outputs, in order. */
  readonly nodes: readonly TracedNode[];
  /** What it gave. */
  readonly outputs: readonly TracedValue[];
}

/** Runs a computation and records it. What does not depend on the inputs is a constant. Operations are seen where they
 * reach the device, so that the graph is what every device runs; the shapes are those of this run.
 * @param device `reference`, whose kernels are done when their calls return
 */
export function traceComputation(
  device: Device,
  inputs: readonly Tensor[],
  compute: () => readonly Tensor[],
): Trace {
  const recorder = new Recorder(device);
  const traced = inputs.map((input) => recorder.begin(input));
  const { backend } = device;
  const kernels = wrapKernels(backend.kernels, (name, kernel) => recorder.wrap(name, kernel));
  const watched = {
    ...withKernels(backend, kernels),
    write(buffer: Buffer, data: HostArray): void {
      recorder.forget(buffer);
      backend.write(buffer, data);
    },
  };
  const watch = device.watch({ backend: watched, phase() {} });
  try {
    return recorder.end(traced, withoutGradients(compute));
  } finally {
    watch[Symbol.dispose]();
  }
}

class Recorder {
  readonly #device: Device;
  /** What lies in a buffer, of what depends on the inputs. */
  readonly #values = new Map<Buffer, TracedValue>();
  /** What lies in a buffer, of what does not. */
  readonly #constants = new Map<Buffer, TracedValue>();
  readonly #nodes: TracedNode[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  begin({ buffer, shape, dtype }: View): TracedValue {
    const value = { shape, dtype };
    this.forget(buffer);
    this.#values.set(buffer, value);
    return value;
  }

  forget(buffer: Buffer): void {
    this.#values.delete(buffer);
    this.#constants.delete(buffer);
  }

  wrap(name: string, kernel: AnyKernel<Buffer>): AnyKernel<Buffer> {
    return (inputs, outputs, attributes) => {
      const depends = inputs.some(({ buffer }) => this.#values.has(buffer));
      const operands = depends ? inputs.map((input) => this.#valueOf(input)) : [];
      kernel(inputs, outputs, attributes);
      if (!depends) {
        for (const { buffer } of outputs) this.forget(buffer);
        return;
      }
      const results = outputs.map((output) => this.begin(output));
      this.#nodes.push({ name, inputs: operands, outputs: results, attributes });
    };
  }

  /** What a view shows: a buffer's value, perhaps in another shape, or a constant. */
  #valueOf({ buffer, shape, dtype }: View): TracedValue {
    const value = this.#values.get(buffer);
    if (value === undefined) return this.#constantOf({ buffer, shape, dtype });
    if (sameShape(value.shape, shape)) return value;
    const reshaped = { shape, dtype };
    this.#nodes.push({
      name: "reshape",
      inputs: [value],
      outputs: [reshaped],
      attributes: { shape },
    });
    return reshaped;
  }

  #constantOf({ buffer, shape, dtype }: View): TracedValue {
    const known = this.#constants.get(buffer);
    if (known !== undefined && sameShape(known.shape, shape)) return known;
    const constant = this.#device.backend.host!(buffer, dtype, sizeOf(shape)).slice() as HostArray;
    const value = { shape, dtype, constant };
    this.#constants.set(buffer, value);
    return value;
  }

  end(inputs: readonly TracedValue[], results: readonly View[]): Trace {
    const outputs = results.map((result) => this.#valueOf(result));
    const needed = new Set(outputs);
    const nodes = this.#nodes.toReversed().filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      for (const input of node.inputs) needed.add(input);
      return true;
    }).toReversed();
    return { inputs, nodes, outputs };
  }
}
