/** The functions that the host calls. */
export { attention } from "./attention";
export { oneQueryAttention } from "./one_query";
export { shortAttention, shortAttentionGradient } from "./short_attention";
export * from "./binary";
export { gather, segmentCount, segmentSum } from "./codes";
export { conv2d, convTranspose2d } from "./conv";
export { crossEntropy, crossEntropyGradient } from "./cross_entropy";
export { mapWhere } from "./elementwise";
export { conv2dFilter, filterSplits } from "./filter";
export {
  groupNorm,
  groupNormGradient,
  groupNormParameterGradient,
  groupNormParts,
} from "./group_norm";
export { matmul } from "./matmul";
export { maxPool, maxPoolGradient } from "./max_pool";
export { move } from "./movement";
export { nearest } from "./nearest";
export { normalize, normalizeGradient } from "./normalization";
export { adam } from "./optimizer";
export { enter, fail, heapBase, jobAddress, leave, scratchBytes, work } from "./pool";
export { averagePool, averagePoolGradient } from "./pooling";
export { normal, uniform } from "./random";
export { argmax, kthValue, logsumexp, maximum, reductionParts, softmax, sum } from "./reductions";
export { convTranspose2dNarrow } from "./scatter";
export * from "./unary";
export { blasConv2d } from "./blas/conv";
export { blasConv2dFilter, blasFilterSplits } from "./blas/filter";
export { blasMatmul } from "./blas/matmul";
export { blasConvTranspose2d } from "./blas/transposed";
export { dnnRun, dnnSum } from "./dnn/tasks";
