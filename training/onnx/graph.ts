/** Builds an ONNX graph: nodes, constants, and names for the values between them. */
import type { HostArray } from "../../core/backend.ts";
import type { DType, Shape } from "../../core/shape.ts";

/** The version of the ONNX operator set. */
export const OPSET = 17;

/** Marks an axis whose length is the batch size or depends on it. */
export const BATCH = -1;

/** Element types with their ONNX numbers. */
export const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

/** The value of a node's attribute: an integer, a list of integers, a string, or a number marked as a float. */
export type OnnxAttribute = number | readonly number[] | string | { readonly float: number };

/** An ONNX node. */
export interface OnnxNode {
  /** The operator, such as `Conv`. */
  readonly type: string;
  /** The names of its operands. */
  readonly inputs: readonly string[];
  /** The names of its outputs. */
  readonly outputs: readonly string[];
  /** Its attributes. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A constant of a graph. */
export interface OnnxConstant {
  /** Its name. */
  readonly name: string;
  /** Its shape. */
  readonly shape: Shape;
  /** Its elements. */
  readonly values: HostArray | BigInt64Array<ArrayBuffer>;
}

/** An input or output of a graph. */
export interface OnnxValue {
  /** Its name. */
  readonly name: string;
  /** Its shape, with `BATCH` for the batch axis. */
  readonly shape: Shape;
  /** Its type. */
  readonly dtype: DType;
}

/** Collects nodes and constants, and names them. */
export class GraphBuilder {
  /** The nodes, in order. */
  readonly nodes: OnnxNode[] = [];
  /** The constants. */
  readonly constants: OnnxConstant[] = [];

  /** Adds a node with one output, and returns the output's name. An undefined operand is left out. */
  add(
    type: string,
    inputs: readonly (string | undefined)[],
    attributes: OnnxNode["attributes"] = {},
  ): string {
    const output = `v${this.nodes.length}`;
    const named = inputs.filter((input) => input !== undefined);
    this.nodes.push({ type, inputs: named, outputs: [output], attributes });
    return output;
  }

  /** Adds a constant, and returns its name. */
  constant(shape: Shape, values: OnnxConstant["values"]): string {
    const name = `c${this.constants.length}`;
    this.constants.push({ name, shape, values });
    return name;
  }

  /** Adds a scalar float constant. */
  float(value: number): string {
    return this.constant([], Float32Array.of(value));
  }

  /** Adds a constant list of integers, as needed for shapes and axes. */
  integers(values: readonly number[]): string {
    return this.constant([values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** Reshapes `x`; one axis of the new shape may be `BATCH`. */
  reshape(x: string, shape: Shape): string {
    if (shape.filter((length) => length === BATCH).length > 1) {
      throw new RangeError(
        `Cannot write ONNX: at most one axis of a shape must depend on the batch, got ${shape}`,
      );
    }
    return this.add("Reshape", [x, this.integers(shape)]);
  }

  /** Permutes the axes of `x`. */
  transpose(x: string, perm: readonly number[]): string {
    return this.add("Transpose", [x], { perm });
  }

  /** Casts `x` to another type. */
  cast(x: string, to: keyof typeof ELEMENT_TYPES): string {
    return this.add("Cast", [x], { to: ELEMENT_TYPES[to] });
  }
}
