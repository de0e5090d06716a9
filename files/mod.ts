/** Reads and writes safetensors, and reads PyTorch's files.
 *
 * @module
 */
export * from "./pytorch_file.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContents,
} from "./safetensors_bytes.ts";
export * from "./safetensors.ts";
