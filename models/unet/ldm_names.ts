/** Converts names and layouts of latent diffusion's U-Net (CompVis/latent-diffusion) to ours. */
import type { HostTensor } from "../../core/host_tensor.ts";

/** Parts of their names on the left, of ours on the right. The numbers between the parts are the same. */
const NAMES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^time_embed\.0\b/, "timeEmbedding.linear1"],
  [/^time_embed\.2\b/, "timeEmbedding.linear2"],
  [/^label_emb\b/, "classEmbedding"],
  [/^out\.0\b/, "outputNorm"],
  [/^out\.2\b/, "output"],
  [/^input_blocks\b/, "inputBlocks"],
  [/^middle_block\b/, "middleBlock"],
  [/^output_blocks\b/, "outputBlocks"],
  [/\bin_layers\.0\b/, "norm1"],
  [/\bin_layers\.2\b/, "conv1"],
  [/\bemb_layers\.1\b/, "embedding"],
  [/\bout_layers\.0\b/, "norm2"],
  [/\bout_layers\.3\b/, "conv2"],
  [/\bskip_connection\b/, "shortcut"],
  [/\bop\b/, "conv"],
  [/\bproj_in\b/, "input"],
  [/\bproj_out\b/, "output"],
  [/\btransformer_blocks\.0\./, ""],
  [/\battn1\b/, "selfAttention"],
  [/\battn2\b/, "crossAttention"],
  [/\bto_q\b/, "query"],
  [/\bto_k\b/, "key"],
  [/\bto_v\b/, "value"],
  [/\bto_out\.0\b/, "output"],
  [/\bff\.net\.0\.proj\b/, "feedForward.gated"],
  [/\bff\.net\.2\b/, "feedForward.output"],
];

/** Their 1×1 convolutions that are linear layers here. */
const LINEAR = /\.(qkv|proj_in|proj_out)\.weight$/;

const EMBEDDING = /^label_emb\b/;

/** Our name for an entry of their U-Net, without `model.diffusion_model.`.
 *
 * ```ts
 * import { unetName } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.equal(unetName("input_blocks.1.0.in_layers.2.weight"), "inputBlocks.1.0.conv1.weight");
 * ```
 */
export function unetName(theirs: string): string {
  return NAMES.reduce((name, [pattern, ours]) => name.replace(pattern, ours), theirs);
}

/** An entry of their U-Net in our layout. Filters `[O, I, KH, KW]` become `[KH, KW, I, O]`. Matrices `[O, I]`, and 1×1
 * convolutions that are linear layers here, become `[I, O]`. Vectors and embeddings do not change.
 * @param theirs the entry's name, without `model.diffusion_model.`
 */
export function unetLayout(theirs: string, { shape, values }: HostTensor): HostTensor {
  if (shape.length < 2 || EMBEDDING.test(theirs)) return { shape, values };
  const [outputs, inputs, ...kernel] = shape;
  const taps = kernel.reduce((product, length) => product * length, 1);
  const moved = new Float32Array(values.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let tap = 0; tap < taps; tap++) {
        moved[(tap * inputs + i) * outputs + o] = values[(o * inputs + i) * taps + tap];
      }
    }
  }
  const isLinear = kernel.length === 0 || LINEAR.test(theirs);
  return { shape: isLinear ? [inputs, outputs] : [...kernel, inputs, outputs], values: moved };
}

/** The state of our U-Net from the entries of a latent diffusion model: those under `model.diffusion_model.`, and the
 * class vectors that its cross-attention attends to.
 *
 * ```ts
 * import { unetFromLdm } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const bias = { shape: [2], values: Float32Array.of(1, 2) };
 * const state = unetFromLdm(new Map([["model.diffusion_model.out.2.bias", bias]]));
 * assert.deepEqual([...state.keys()], ["output.bias"]);
 * ```
 * @returns the state, for `loadStateDictionary`
 */
export function unetFromLdm(entries: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
  const prefix = "model.diffusion_model.";
  const state = new Map<string, HostTensor>();
  for (const [name, tensor] of entries) {
    if (name === "cond_stage_model.embedding.weight") state.set("classEmbedding.weight", tensor);
    if (!name.startsWith(prefix)) continue;
    const theirs = name.slice(prefix.length);
    state.set(unetName(theirs), unetLayout(theirs, tensor));
  }
  return state;
}
