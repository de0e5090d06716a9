/** Records the operations of a computation as a graph over its inputs. */
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

/** A value of a graph: an input, a constant, or the output of a node. */
export interface TracedValue {
  /** Its shape. */
  readonly shape: Shape;
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its elements, for a constant. */
  readonly constant?: HostArray;
}

/** A recorded operation. */
export interface TracedNode {
  /** One of the library's operations, including `reshape`. */
  readonly name: string;
  /** Its inputs. */
  readonly inputs: readonly TracedValue[];
  /** Its outputs. */
  readonly outputs: readonly TracedValue[];
  /** Its attributes, whose type depends on the operation. */
  readonly attributes: unknown;
}

/** The recorded graph of a computation. */
export interface Trace {
  /** The inputs of the computation. */
  readonly inputs: readonly TracedValue[];
  /** The nodes that lead to the outputs, in order. */
  readonly nodes: readonly TracedNode[];
  /** The outputs of the computation. */
  readonly outputs: readonly TracedValue[];
}

/** Runs a computation and records it. Values that do not depend on the inputs become constants. Operations are recorded
 * when they reach the device, so the graph has the operations that every device runs. The shapes are those of this run.
 * @param device the device `reference`, whose kernels have finished when their calls return
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
  /** The contents of each buffer that depend on the inputs. */
  readonly #values = new Map<Buffer, TracedValue>();
  /** The contents of each buffer that do not depend on the inputs. */
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

  /** The value of a view: a buffer's value, perhaps in another shape, or a constant. */
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
