/** Everything the host calls. */
export * from "./matmul";
export { conv2d, convTranspose2d } from "./conv";
export { conv2dFilter, filterSplits } from "./filter";
export { enter, fail, heapBase, jobAddress, leave, scratchBytes, work } from "./pool";
