/** The codes of a first stage, and the requirements of code generators on them. */
import type { Shape } from "../core/shape.ts";
import type { Dataset } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";

/** Rows and columns of an image's grid of features. */
export function gridOf(
  { downsampling }: FirstStage,
  { imageShape: [height, width] }: Dataset,
): readonly [height: number, width: number] {
  return [height / downsampling, width / downsampling];
}

/** The shape of an image's codes: `[h, w, ...codeAxes]`, or `codeAxes` if codes describe whole grids. */
export function codeShapeOf(stage1: FirstStage, dataset: Dataset): Shape {
  return stage1.codeShape(...gridOf(stage1, dataset));
}

/** Rejects a first stage whose codes describe whole grids instead of positions.
 * @throws {RangeError} the codes describe whole grids
 */
export function checkPositions({ grid }: FirstStage, what: string): void {
  if (grid === undefined) return;
  throw new RangeError(
    `Cannot make ${what}: each position must have its own codes, got a first stage with codes that cover whole grids; ` +
      "--objective.type next-scale takes those of a multi-scale quantizer",
  );
}

/** Rejects a first stage with several codes per position.
 * @throws {RangeError} it has several codes per position, or its codes describe whole grids
 */
export function checkOneCode(stage1: FirstStage, what: string): void {
  checkPositions(stage1, what);
  const { codeAxes } = stage1;
  if (codeAxes.length === 0) return;
  throw new RangeError(
    `Cannot make ${what}: the first stage must have one code per position, got [${codeAxes}]; ` +
      "--objective.type residual-autoregression takes several",
  );
}
