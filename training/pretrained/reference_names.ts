/** Tensor names of the reference implementation of CVQ-VAE (arXiv 2307.15139). */
import type { NameTable } from "./layout.ts";

const RENAMING: readonly (readonly [ours: RegExp, theirs: string])[] = [
  [/^encoder\.toFeatures\./, "_pre_vq_conv."],
  [/^quantizer\.codebook$/, "_vq_vae.embedding.weight"],
  [/^quantizer\.reanchoring\.runningUsage$/, "_vq_vae.embed_prob"],
  [/^(encoder|decoder)\.residual\.(\d+)\.conv3\./, "_$1._residual_stack._layers.$2._block.1."],
  [/^(encoder|decoder)\.residual\.(\d+)\.conv1\./, "_$1._residual_stack._layers.$2._block.3."],
  [/^(encoder|decoder)\.conv(\d)\./, "_$1._conv_$2."],
  [/^decoder\.up(\d)\./, "_decoder._conv_trans_$1."],
];

/** Tensor names of the small VQ-VAE and its clustered codebook. */
export const referenceNames: NameTable = (ours) => {
  const found = RENAMING.find(([own]) => own.test(ours));
  if (found === undefined) return undefined;
  const isFilter = !ours.startsWith("quantizer.") && ours.endsWith(".weight");
  return { name: ours.replace(...found), layout: isFilter ? "filter" : "same" };
};
