/** A graph of ONNX as it is built: nodes, constants, and names for what flows between them. */
import type { HostArray } from "../../core/backend.ts";
import type { DType, Shape } from "../../core/shape.ts";

/** The version of ONNX's operators that graphs are written in. */
export const OPSET = 17;

/** An axis whose length is that of the batch, or follows from it. */
export const BATCH = -1;

/** Element types, by ONNX's numbers. */
export const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

/** The value of a node's attribute: a whole number, numbers, a text, or a number that is marked as a float. */
export type OnnxAttribute = number | readonly number[] | string | { readonly float: number };

/** A node of ONNX. */
export interface OnnxNode {
  /** The operator: `Conv`. */
  readonly type: string;
  /** The names of its operands. */
  readonly inputs: readonly string[];
  /** The names of what it gives. */
  readonly outputs: readonly string[];
  /** Its attributes. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A constant of a graph. */
export interface OnnxConstant {
  /** Its name. */
  readonly name: string;
  /** Its axes. */
  readonly shape: Shape;
  /** Its elements. */
  readonly values: HostArray | BigInt64Array<ArrayBuffer>;
}

/** An input or output of a graph. */
export interface OnnxValue {
  /** Its name. */
  readonly name: string;
  /** Its axes, `BATCH` for that of the batch. */
  readonly shape: Shape;
  /** Its type. */
  readonly dtype: DType;
}

/** Takes up nodes and constants, and gives them names. */
export class GraphBuilder {
  /** The nodes, in order. */
  readonly nodes: OnnxNode[] = [];
  /** The constants. */
  readonly constants: OnnxConstant[] = [];

  /** Adds a node with one output, and gives the output's name. An operand that is undefined is left out. */
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

  /** Adds a constant, and gives its name. */
  constant(shape: Shape, values: OnnxConstant["values"]): string {
    const name = `c${this.constants.length}`;
    this.constants.push({ name, shape, values });
    return name;
  }

  /** A constant of one float. */
  float(value: number): string {
    return this.constant([], Float32Array.of(value));
  }

  /** A constant list of whole numbers, as shapes and axes are given. */
  integers(values: readonly number[]): string {
    return this.constant([values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** `x` in another shape, of which one axis may be `BATCH`. */
  reshape(x: string, shape: Shape): string {
    if (shape.filter((length) => length === BATCH).length > 1) {
      throw new RangeError(
        `Cannot write ONNX: at most one axis of a shape must depend on the batch, got ${shape}`,
      );
    }
    return this.add("Reshape", [x, this.integers(shape)]);
  }

  /** `x` with its axes in another order. */
  transpose(x: string, perm: readonly number[]): string {
    return this.add("Transpose", [x], { perm });
  }

  /** `x` in another type. */
  cast(x: string, to: keyof typeof ELEMENT_TYPES): string {
    return this.add("Cast", [x], { to: ELEMENT_TYPES[to] });
  }
}
