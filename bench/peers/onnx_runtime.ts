/** ONNX Runtime on its CPU provider: the forward pass of attention, in ONNX's standard operators.
 *
 *     deno run -A bench/peers/onnx_runtime.ts FOLDER WORK…
 */
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import { GraphBuilder } from "../../training/onnx/graph.ts";
import { encodeOnnx, type OnnxGraph } from "../../training/onnx/model_file.ts";
import { BY_PROCESSOR, type Library, runSide } from "./side.ts";
import { ATTENTIONS, WORKS } from "./works.ts";

type Attention = typeof ATTENTIONS[number];

/** The mask that is added to the logits: −∞ where a query does not see a key. */
function causalMask(length: number): Float32Array<ArrayBuffer> {
  const mask = new Float32Array(length ** 2);
  for (let i = 0; i < length; i++) mask.fill(-Infinity, i * length + i + 1, (i + 1) * length);
  return mask;
}

/** softmax(scale·q·kᵀ + mask)·v of every head. */
function graphOf({ name, length, causal }: Attention): OnnxGraph {
  const shape = WORKS[name].inputs.q;
  const graph = new GraphBuilder();
  const keys = graph.transpose("k", [0, 2, 3, 1]);
  const products = graph.add("MatMul", [graph.transpose("q", [0, 2, 1, 3]), keys]);
  const scaled = graph.add("Mul", [products, graph.float(1 / Math.sqrt(shape[3]))]);
  const mask = causal && graph.constant([length, length], causalMask(length));
  const logits = mask ? graph.add("Add", [scaled, mask]) : scaled;
  const weights = graph.add("Softmax", [logits], { axis: -1 });
  const means = graph.add("MatMul", [weights, graph.transpose("v", [0, 2, 1, 3])]);
  const output = graph.transpose(means, [0, 2, 1, 3]);
  const value = (name: string) => ({ name, shape, dtype: "float32" as const });
  const { nodes, constants } = graph;
  return {
    ...{ name: "attention", nodes, constants },
    ...{ inputs: ["q", "k", "v"].map(value), outputs: [value(output)] },
  };
}

const options = BY_PROCESSOR ? { intraOpNumThreads: 1, interOpNumThreads: 1 } : {};

const forward = ATTENTIONS.filter(({ backward }) => !backward);

const sessions = await Promise.all(forward.map(async (about) =>
  [
    about.name,
    await InferenceSession.create(await encodeOnnx(graphOf(about), {}), options),
  ] as const
));

async function attend(
  session: InferenceSession,
  inputs: readonly Promise<OnnxTensor>[],
): Promise<OnnxTensor> {
  const [q, k, v] = await Promise.all(inputs);
  return (await session.run({ q, k, v }))[session.outputNames[0]];
}

/** Results are promises, and `finish` waits for them. */
const library: Library<Promise<OnnxTensor>> = {
  put: (values, shape) => Promise.resolve(new OnnxTensor("float32", values, shape)),
  works: Object.fromEntries(
    sessions.map(([name, session]) => [
      name,
      (...inputs: Promise<OnnxTensor>[]) => ({ once: () => [attend(session, inputs)] }),
    ]),
  ),
  finish: async (results) => {
    await Promise.all(results);
  },
  read: async (result) => (await result).data as Float32Array<ArrayBuffer>,
  drop: () => {},
};

await runSide(library, Deno.args);
