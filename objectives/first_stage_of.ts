/** The first stage that an objective builds on. */
import type { FirstStage } from "../models/first_stage.ts";
import type { ObjectiveNeeds } from "./kind.ts";

/** The first stage that an objective builds on.
 * @param what what the first stage is for, for the error message
 * @throws {RangeError} there is no first stage, or it does not fit the images
 */
export function firstStageOf(
  { dataset, stage1 }: Pick<ObjectiveNeeds, "dataset" | "stage1">,
  what: string,
): FirstStage {
  if (stage1 === undefined) {
    throw new RangeError(`Cannot make ${what}: a finished first stage is needed, got none`);
  }
  const { imageShape: [height, width, channels] } = dataset, { downsampling, grid } = stage1;
  if (stage1.channels !== channels) {
    throw new RangeError(
      `Cannot make ${what}: the images must have ${stage1.channels} channels, as those of the first stage, got ${channels}`,
    );
  }
  if (height % downsampling !== 0 || width % downsampling !== 0) {
    throw new RangeError(
      `Cannot make ${what}: the images' sides must be divisible by ${downsampling}, got ${height}×${width}`,
    );
  }
  if (grid === undefined) return stage1;
  const [rows, columns] = grid.map((side) => side * downsampling);
  if (rows === height && columns === width) return stage1;
  throw new RangeError(
    `Cannot make ${what}: the images must be ${rows}×${columns}, as the first stage has codes that cover whole grids of that size, got ${height}×${width}`,
  );
}
