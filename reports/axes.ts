/** The grid behind charts, as SVG. A page can run these functions too, because they only use `markup` and
 * `showTick`. */
import { type Html, markup } from "./html.ts";
import { type Scale, showTick } from "./scale.ts";

/** The edges of a chart's grid, in pixels. */
export interface GridFrame {
  /** Its left end. */
  readonly left: number;
  /** Its right end. */
  readonly right: number;
  /** Its lower end. */
  readonly bottom: number;
}

/** Draws a line at every tick of the vertical scale, with its value on the left.
 * @param unit the text after the values
 */
export function drawLevels(
  vertical: Scale,
  { left, right }: GridFrame,
  unit: string = "",
): readonly Html[] {
  return vertical.ticks.map((tick) => {
    const y = vertical.at(tick).toFixed(1);
    const value = showTick(tick) + unit;
    return markup`<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/><text class="tick" x="${
      left - 8
    }" y="${y}" dy="0.32em" text-anchor="end">${value}</text>`;
  });
}

/** Writes the values of the horizontal scale's ticks below the grid. */
export function drawMarks(horizontal: Scale, { bottom }: GridFrame): readonly Html[] {
  return horizontal.ticks.map((tick) => {
    const x = horizontal.at(tick).toFixed(1);
    return markup`<text class="tick" x="${x}" y="${bottom + 18}" text-anchor="middle">${
      showTick(tick)
    }</text>`;
  });
}
