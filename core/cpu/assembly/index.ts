/** Everything the host calls. */
export * from "./binary";
export { mapWhere } from "./elementwise";
export * from "./matmul";
export { conv2d, convTranspose2d } from "./conv";
export { conv2dFilter, filterSplits } from "./filter";
export { normalize, normalizeGradient } from "./normalization";
export { adam } from "./optimizer";
export { argmax, kthValue, logsumexp, maximum, reductionParts, softmax, sum } from "./reductions";
export * from "./unary";
export { enter, fail, heapBase, jobAddress, leave, scratchBytes, work } from "./pool";
