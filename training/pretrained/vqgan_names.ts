/** Tensor names of a VQGAN in published files: those of taming-transformers, which LDM's first stages share, and those
 * of diffusers. */
import type { NameTable, Place } from "./layout.ts";

type Renaming = readonly (readonly [ours: RegExp, theirs: string])[];

/** Names that both have in common. */
const BOTH: Renaming = [
  [/^quantConv\./, "quant_conv."],
  [/^postQuantConv\./, "post_quant_conv."],
  [/\.convIn\./, ".conv_in."],
  [/\.convOut\./, ".conv_out."],
  [/\b(norm\d?|normOut)\.norm\./, "$1.norm_layer."],
  [/\b(norm\d?|normOut)\.scale\./, "$1.conv_y."],
  [/\b(norm\d?|normOut)\.shift\./, "$1.conv_b."],
];

const TAMING: Renaming = [
  ...BOTH,
  [/\.attention\.query\./, ".q."],
  [/\.attention\.key\./, ".k."],
  [/\.attention\.value\./, ".v."],
  [/\.attention\.output\./, ".proj_out."],
  [/\.normOut\./, ".norm_out."],
  [/\.mid\.block(\d)\./, ".mid.block_$1."],
  [/\.mid\.attention\./, ".mid.attn_1."],
  [/\.attention\.(\d+)\./, ".attn.$1."],
  [/\.shortcut\./, ".nin_shortcut."],
  [/\.(down|up)sample\./, ".$1sample.conv."],
];

const DIFFUSERS: Renaming = [
  ...BOTH,
  [
    /(\.attention\.\d+|\.mid\.attention)\.norm\.(norm_layer|conv_y|conv_b)\./,
    "$1.spatial_norm.$2.",
  ],
  [/(\.attention\.\d+|\.mid\.attention)\.norm\./, "$1.group_norm."],
  [/\.attention\.query\./, ".to_q."],
  [/\.attention\.key\./, ".to_k."],
  [/\.attention\.value\./, ".to_v."],
  [/\.attention\.output\./, ".to_out.0."],
  [/\.normOut\./, ".conv_norm_out."],
  [/\.mid\.block1\./, ".mid_block.resnets.0."],
  [/\.mid\.block2\./, ".mid_block.resnets.1."],
  [/\.mid\.attention\./, ".mid_block.attentions.0."],
  [/\.down\.(\d+)\./, ".down_blocks.$1."],
  [/\.up\.(\d+)\./, ".up_blocks.$1."],
  [/\.block\.(\d+)\./, ".resnets.$1."],
  [/\.attention\.(\d+)\./, ".attentions.$1."],
  [/\.shortcut\./, ".conv_shortcut."],
  [/\.(down|up)sample\./, ".$1samplers.0.conv."],
];

/** A matrix of an attention layer, and a filter. All other tensors have the same layout. */
const MATRIX = /\.attention\.(query|key|value|output)\.weight$/;
const FILTER = /\b(conv\w*|shortcut|\w+sample|quantConv|postQuantConv|scale|shift)\.weight$/;

function place(ours: string, renaming: Renaming, matrix: "matrix" | "convolution"): Place {
  return {
    name: renaming.reduce((text, [own, theirs]) => text.replace(own, theirs), ours),
    layout: MATRIX.test(ours) ? matrix : FILTER.test(ours) ? "filter" : "same",
  };
}

const isNetwork = (ours: string): boolean => !ours.startsWith("quantizer.");

/** The codebook's place, which is the same in taming and diffusers. */
const codebook = (ours: string): Place | undefined =>
  ours === "quantizer.codebook" ? { name: "quantize.embedding.weight", layout: "same" } : undefined;

/** taming's names, for a model with a codebook. */
export const tamingNames: NameTable = (ours) =>
  isNetwork(ours) ? place(ours, TAMING, "convolution") : codebook(ours);

/** taming's names, for a model with a Gumbel-softmax quantiser. */
export const tamingGumbelNames: NameTable = (ours) => {
  switch (ours) {
    case "quantizer.codebook":
      return { name: "quantize.embed.weight", layout: "same" };
    case "quantizer.toLogits.weight":
      return { name: "quantize.proj.weight", layout: "convolution" };
    case "quantizer.toLogits.bias":
      return { name: "quantize.proj.bias", layout: "same" };
  }
  return isNetwork(ours) ? place(ours, TAMING, "convolution") : undefined;
};

/** diffusers' names, for a model with a given number of levels. Its decoder counts levels from the coarsest. */
export function diffusersNames(levels: number): NameTable {
  return (ours) => {
    if (!isNetwork(ours)) return codebook(ours);
    const counted = ours.replace(/^decoder\.up\.(\d+)\./, (_, level: string) => {
      return `decoder.up.${levels - 1 - Number(level)}.`;
    });
    return place(counted, DIFFUSERS, "matrix");
  };
}
