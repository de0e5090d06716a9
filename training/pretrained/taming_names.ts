/** The names of taming-transformers' VQGAN, which LDM's first stages have too. */
import type { NameTable } from "./layout.ts";

const MATRICES: Readonly<Record<string, string>> = {
  query: "q",
  key: "k",
  value: "v",
  output: "proj_out",
};

/** What our names are there, part by part; all that fit are replaced, in this order. */
const NETWORK: readonly (readonly [ours: RegExp, theirs: string])[] = [
  [/^quantConv\./, "quant_conv."],
  [/^postQuantConv\./, "post_quant_conv."],
  [/\.conv(In|Out)\./, ".conv_$1."],
  [/\b(norm\d?|normOut)\.norm\./, "$1.norm_layer."],
  [/\b(norm\d?|normOut)\.scale\./, "$1.conv_y."],
  [/\b(norm\d?|normOut)\.shift\./, "$1.conv_b."],
  [/\.normOut\./, ".norm_out."],
  [/\.mid\.block(\d)\./, ".mid.block_$1."],
  [/\.mid\.attention\./, ".mid.attn_1."],
  [/\.attention\.(\d+)\./, ".attn.$1."],
  [/\.shortcut\./, ".nin_shortcut."],
  [/\.(down|up)sample\./, ".$1sample.conv."],
];

const QUANTIZER: ReadonlyMap<string, string> = new Map([
  ["quantizer.codebook", "quantize.embedding.weight"],
]);

const GUMBEL: ReadonlyMap<string, string> = new Map([
  ["quantizer.codebook", "quantize.embed.weight"],
  ["quantizer.toLogits.weight", "quantize.proj.weight"],
  ["quantizer.toLogits.bias", "quantize.proj.bias"],
]);

/** Whether a name is that of a matrix of an attention layer. */
const ATTENTION = /\.attention\.(query|key|value|output)\.(weight|bias)$/;

/** The names of a VQGAN's networks, but for those of its quantiser. */
export const tamingNetwork: NameTable = (ours) => {
  const matrix = ATTENTION.exec(ours);
  const short = matrix === null
    ? ours
    : `${ours.slice(0, matrix.index)}.${MATRICES[matrix[1]]}.${matrix[2]}`;
  const name = NETWORK.reduce((text, [own, theirs]) => text.replace(own, theirs), short)
    .replace(/\.conv_(In|Out)\./, (text) => text.toLowerCase());
  const isWeight = ours.endsWith(".weight");
  if (matrix !== null) return { name, layout: isWeight ? "convolution" : "same" };
  const isNorm = /\bnorm(\d|Out)?(\.norm)?\.(weight|bias)$/.test(ours);
  return { name, layout: isWeight && !isNorm ? "filter" : "same" };
};

/** Those of a whole model. */
export const tamingNames: NameTable = (ours) => {
  if (!ours.startsWith("quantizer.")) return tamingNetwork(ours);
  const name = QUANTIZER.get(ours);
  return name === undefined ? undefined : { name, layout: "same" };
};

/** Those of a model with a Gumbel-softmax quantiser. */
export const tamingGumbelNames: NameTable = (ours) => {
  if (!ours.startsWith("quantizer.")) return tamingNetwork(ours);
  const name = GUMBEL.get(ours);
  if (name === undefined) return undefined;
  return { name, layout: ours === "quantizer.toLogits.weight" ? "convolution" : "same" };
};
