/** Reads and writes safetensors and PyTorch files.
 *
 * @module
 */
export { fromJsonNumber, type JsonNumber, readyForJson, toJsonNumber } from "./json_number.ts";
export * from "./npy.ts";
export * from "./pytorch_file.ts";
export * from "./pytorch_writer.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContents,
} from "./safetensors_bytes.ts";
export { readSafetensors, writeSafetensors } from "./safetensors.ts";
