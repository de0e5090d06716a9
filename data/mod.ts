/** The data sets, and the batches made of them.
 *
 * @module
 */
export type { Dataset, MeasuredSplit, SequenceBatch, SequenceOptions, Split } from "./dataset.ts";
export * from "./memory.ts";
export * from "./held_out.ts";
export { byteDataset, type ByteDatasetOptions } from "./bytes.ts";
export { digitLabels, openDigits } from "./digits.ts";
export * from "./image_pairs.ts";
export * from "./batches.ts";
export type { OpenOptions } from "./kind.ts";
export { drawShape, type ShapeFactors, shapeFactors } from "./shapes.ts";
export {
  DATASET_NAMES,
  type DatasetConfig,
  DEFAULT_DATASET,
  imageShapeOf,
  openDataset,
} from "./registry.ts";
