/** ONNX files: a graph as a Protocol Buffers message (onnx.proto, IR version 8). */
import {
  BATCH,
  ELEMENT_TYPES,
  type OnnxAttribute,
  type OnnxConstant,
  type OnnxNode,
  type OnnxValue,
  OPSET,
} from "./graph.ts";

/** A graph with its inputs and outputs. */
export interface OnnxGraph {
  /** The name of the graph. */
  readonly name: string;
  /** Its inputs. */
  readonly inputs: readonly OnnxValue[];
  /** Its outputs. */
  readonly outputs: readonly OnnxValue[];
  /** Its nodes, in order. */
  readonly nodes: readonly OnnxNode[];
  /** Its constants. */
  readonly constants: readonly OnnxConstant[];
}

const IR_VERSION = 8;

type Field = readonly [id: number, type: string, rule?: "repeated"];

/** The messages of onnx.proto that are needed: each field with its number and type. */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  ModelProto: {
    irVersion: [1, "int64"],
    producerName: [2, "string"],
    graph: [7, "GraphProto"],
    opsetImport: [8, "OperatorSetIdProto", "repeated"],
    metadataProps: [14, "StringStringEntryProto", "repeated"],
  },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  GraphProto: {
    node: [1, "NodeProto", "repeated"],
    name: [2, "string"],
    initializer: [5, "TensorProto", "repeated"],
    input: [11, "ValueInfoProto", "repeated"],
    output: [12, "ValueInfoProto", "repeated"],
  },
  NodeProto: {
    input: [1, "string", "repeated"],
    output: [2, "string", "repeated"],
    opType: [4, "string"],
    attribute: [5, "AttributeProto", "repeated"],
  },
  AttributeProto: {
    name: [1, "string"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    ints: [8, "int64", "repeated"],
    type: [20, "int32"],
  },
  TensorProto: {
    dims: [1, "int64", "repeated"],
    dataType: [2, "int32"],
    name: [8, "string"],
    rawData: [9, "bytes"],
  },
  ValueInfoProto: { name: [1, "string"], type: [2, "TypeProto"] },
  TypeProto: { tensorType: [1, "TensorTypeProto"] },
  TensorTypeProto: { elemType: [1, "int32"], shape: [2, "TensorShapeProto"] },
  TensorShapeProto: { dim: [1, "DimensionProto", "repeated"] },
  DimensionProto: { dimValue: [1, "int64"], dimParam: [2, "string"] },
};

/** The numbers of the types of attributes. */
const FLOAT = 1, INT = 2, STRING = 3, INTS = 7;

/** Encodes a graph as a file.
 * @param metadata strings by name, which runtimes display
 */
export async function encodeOnnx(
  graph: OnnxGraph,
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  // A computed specifier, so that Deno fetches the package only when it is needed.
  const { protobuf } = await import(
    new URL("./protobuf.ts", import.meta.url).href
  ) as typeof import("./protobuf.ts");
  const nested = Object.fromEntries(
    Object.entries(MESSAGES).map(([message, fields]) => [message, {
      fields: Object.fromEntries(
        Object.entries(fields).map(([name, [id, type, rule]]) => [name, { id, type, rule }]),
      ),
    }]),
  );
  const model = protobuf.Root.fromJSON({ nested }).lookupType("ModelProto");
  return model.encode(model.create({
    irVersion: IR_VERSION,
    producerName: "codebook",
    opsetImport: [{ domain: "", version: OPSET }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: graph.nodes.map(({ type, inputs, outputs, attributes }) => ({
        ...{ opType: type, input: inputs, output: outputs },
        attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      })),
      initializer: graph.constants.map(tensor),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
    },
  })).finish();
}

function attribute(name: string, value: OnnxAttribute): object {
  if (typeof value === "number") return { name, type: INT, i: value };
  if (typeof value === "string") return { name, type: STRING, s: new TextEncoder().encode(value) };
  return "float" in value
    ? { name, type: FLOAT, f: value.float }
    : { name, type: INTS, ints: value };
}

function tensor({ name, shape, values }: OnnxConstant): object {
  const dataType = values instanceof Float32Array
    ? ELEMENT_TYPES.float32
    : values instanceof Int32Array
    ? ELEMENT_TYPES.int32
    : ELEMENT_TYPES.int64;
  const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, dims: shape, dataType, rawData };
}

function valueInfo({ name, shape, dtype }: OnnxValue): object {
  const dim = shape.map((length) =>
    length === BATCH ? { dimParam: "batch" } : { dimValue: length }
  );
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[dtype], shape: { dim } } } };
}
