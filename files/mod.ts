/** Reads and writes safetensors, and reads PyTorch's files.
 *
 * @module
 */
export * from "./pytorch_file.ts";
export * from "./safetensors.ts";
