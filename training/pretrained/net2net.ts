/** taming's transformers over the codes of a VQGAN (its Net2NetTransformer), in the format of published files. */
import type { HostTensor } from "../../core/host_tensor.ts";
import { sameShape, type Shape, showShape } from "../../core/shape.ts";
import type { Settings } from "../presets.ts";
import { fromPyTorch, type Layout } from "./layout.ts";
import type { LeftOut, PretrainedFile } from "./weights.ts";

const SIGN = "transformer.tok_emb.weight";

/** A file of a transformer and its first stage, split into both. */
export interface Net2NetFile {
  /** The transformer's tensors, by their names after `prefix`. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** The common prefix of those names in the file. */
  readonly prefix: string;
  /** All other tensors. */
  readonly rest: PretrainedFile;
}

/** Properties of a transformer that the file does not contain. */
export interface Net2NetOptions {
  /** K of the first stage. */
  readonly codebookSize: number;
  /** The number of classes that it is conditioned on; 0: none. */
  readonly classes: number;
  /** Number of attention heads. */
  readonly heads: number;
}

/** A transformer in the format of a run. */
export interface Net2NetWeights {
  /** The section `model` of the configuration. */
  readonly model: Settings;
  /** Its whole state. */
  readonly state: ReadonlyMap<string, HostTensor>;
  /** The number of imported tensors of the file. */
  readonly loaded: number;
  /** The transformer's tensors that were not imported. */
  readonly leftOut: readonly LeftOut[];
}

/** Splits a file with a transformer; returns undefined for any other file.
 * @throws {RangeError} the transformer is conditioned on images, or orders the codes other than row by row
 */
export function splitNet2Net(file: PretrainedFile): Net2NetFile | undefined {
  const { path, tensors } = file, names = [...tensors.keys()];
  const sign = names.find((name) => name === SIGN || name.endsWith(`.${SIGN}`));
  if (sign === undefined) return undefined;
  const place = sign.slice(0, -SIGN.length), prefix = `${place}transformer.`;
  for (
    const [part, requirement] of [
      ["cond_stage_model.", "its transformer must be conditioned on a class or on nothing"],
      ["permuter.", "its transformer must order the codes row by row"],
    ]
  ) {
    const name = names.find((name) => name.startsWith(place + part));
    if (name === undefined) continue;
    throw new RangeError(
      `Cannot import ${path}: ${requirement}, got one with ${name}; --first-stage-only takes the first stage alone`,
    );
  }
  const isOwn = ([name]: readonly [string, HostTensor]) => name.startsWith(prefix);
  const own = [...tensors].filter(isOwn), rest = [...tensors].filter((entry) => !isOwn(entry));
  return {
    prefix,
    tensors: new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor])),
    rest: { ...file, tensors: new Map(rest) },
  };
}

/** Converts the transformer's tensors to our names and layouts. In taming, class c has the vector of code c, and the
 * start token of an unconditional model is code 0.
 * @throws {RangeError} a tensor is missing, unknown or of another shape, or the sizes do not fit each other
 */
export function takeNet2Net(
  { tensors, prefix, rest: { path } }: Net2NetFile,
  { codebookSize, classes, heads }: Net2NetOptions,
): Net2NetWeights {
  const fail = (requirement: string, actual: string | number): never => {
    throw new RangeError(`Cannot import ${path}: ${requirement}, got ${actual}`);
  };
  const taken = new Set<string>();
  const take = (name: string, shape: Shape, layout: Layout = "same"): HostTensor => {
    const theirs = tensors.get(name) ?? fail(`it must hold ${prefix}${name}`, "none");
    if (!sameShape(theirs.shape, shape) || !(theirs.values instanceof Float32Array)) {
      fail(`${prefix}${name} must be float32 ${showShape(shape)}`, showShape(theirs.shape));
    }
    taken.add(name);
    return fromPyTorch(theirs, layout);
  };
  const shapeOf = (name: string): Shape => tensors.get(name)?.shape ?? [];

  const [, width = 0] = shapeOf("tok_emb.weight"), [, length = 0] = shapeOf("pos_emb");
  let layers = 0;
  while (tensors.has(`blocks.${layers}.ln1.weight`)) layers++;
  if (layers === 0) fail(`it must hold ${prefix}blocks.0.ln1.weight`, "none");
  if (width % heads !== 0) fail(`model.heads must divide the width ${width}`, heads);
  if (!Number.isInteger(Math.sqrt(length))) {
    fail(
      `${prefix}pos_emb must have as many positions as a square grid of codes; a model conditioned on more than a class has others`,
      length,
    );
  }
  if (classes > codebookSize) {
    fail(`its classes are codes too, so there must be at most ${codebookSize}`, classes);
  }

  const tokens = take("tok_emb.weight", [codebookSize, width]);
  const firstTokens = new Float32Array((classes + 1) * width);
  firstTokens.set(tokens.values.subarray(0, Math.max(classes, 1) * width));
  const { values: positions } = take("pos_emb", [1, length, width]);
  const state = new Map<string, HostTensor>([
    ["tokens", tokens],
    ["firstTokens", { shape: [classes + 1, width], values: firstTokens }],
    ["positions", { shape: [length, width], values: positions }],
    ["head.weight", take("head.weight", [codebookSize, width], "matrix")],
  ]);
  const takeNorm = (ours: string, theirs: string) => {
    for (const part of ["weight", "bias"]) {
      state.set(`${ours}.${part}`, take(`${theirs}.${part}`, [width]));
    }
  };
  const takeLinear = (ours: string, theirs: string, [inputs, outputs]: readonly number[]) => {
    state.set(`${ours}.weight`, take(`${theirs}.weight`, [outputs, inputs], "matrix"));
    state.set(`${ours}.bias`, take(`${theirs}.bias`, [outputs]));
  };
  for (let layer = 0; layer < layers; layer++) {
    const ours = `stack.blocks.${layer}`, theirs = `blocks.${layer}`, inner = 4 * width;
    takeNorm(`${ours}.norm`, `${theirs}.ln1`);
    for (const part of ["query", "key", "value"]) {
      takeLinear(`${ours}.attention.${part}`, `${theirs}.attn.${part}`, [width, width]);
    }
    takeLinear(`${ours}.attention.output`, `${theirs}.attn.proj`, [width, width]);
    takeNorm(`${ours}.feedForwardNorm`, `${theirs}.ln2`);
    takeLinear(`${ours}.feedForward.inner`, `${theirs}.mlp.0`, [width, inner]);
    takeLinear(`${ours}.feedForward.outer`, `${theirs}.mlp.2`, [inner, width]);
  }
  takeNorm("stack.norm", "ln_f");

  const others = [...tensors.keys()].filter((name) => !taken.has(name));
  const unknown = others.find((name) => !/^blocks\.\d+\.attn\.mask$/.test(name));
  if (unknown !== undefined) {
    fail("every tensor of its transformer must have a place in the model", `${prefix}${unknown}`);
  }
  const reason = "the causal mask, which the model has by itself";
  return {
    model: {
      ...{ type: "transformer", width, layers, heads, dropout: 0, positions: "learned" },
      ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
    },
    state,
    loaded: taken.size,
    leftOut: others.length === 0 ? [] : [{ reason, names: others.map((name) => prefix + name) }],
  };
}
