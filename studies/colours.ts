/** The colours that tell combinations apart. */
import { type Html, markup } from "../reports/html.ts";
import type { StudyRow } from "./rows.ts";

/** The hues of values that have an order, from blue to red. */
const FIRST_HUE = 262, LAST_HUE = 25;

/** Whether values have an order that people see: numbers, or yes and no. */
export function haveOrder(values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "number") ||
    values.every((value) => typeof value === "boolean");
}

/** The style of each of some values: hues that follow the values where these have an order, else hues all around, every
 * other one lighter. */
export function coloursOf(values: readonly unknown[]): readonly string[] {
  const ordered = haveOrder(values), count = values.length;
  return values.map((_, at) => {
    const hue = ordered
      ? FIRST_HUE + (LAST_HUE - FIRST_HUE) * at / Math.max(1, count - 1)
      : FIRST_HUE + 360 * at / count;
    return `--hue: ${Math.round(hue % 360)}; --lighter: ${ordered ? 0 : at % 2}`;
  });
}

/** The style of every row, the same wherever it is shown. */
export function rowColours(rows: readonly StudyRow[]): readonly string[] {
  const values = rows.map(({ point }) => Object.values(point));
  return coloursOf(values.map((row) => row.length === 1 ? row[0] : row));
}

/** A mark of a colour, before a name. */
export function swatch(style: string): Html {
  return markup`<i class="swatch" style="${style}"></i>`;
}
