/** The colours that distinguish combinations. */
import { type Html, markup } from "../reports/html.ts";
import type { StudyRow } from "./rows.ts";

/** The hues of values that have an order, from blue to red. */
const FIRST_HUE = 262, LAST_HUE = 25;

/** Whether values have an obvious order: numbers, or true and false. */
export function haveOrder(values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "number") ||
    values.every((value) => typeof value === "boolean");
}

/** The style of each value. If the values have an order, the hues follow it; otherwise they are spread over all hues,
 * and every second one is lighter. */
export function coloursOf(values: readonly unknown[]): readonly string[] {
  const ordered = haveOrder(values), count = values.length;
  return values.map((_, at) => {
    const hue = ordered
      ? FIRST_HUE + (LAST_HUE - FIRST_HUE) * at / Math.max(1, count - 1)
      : FIRST_HUE + 360 * at / count;
    return `--hue: ${Math.round(hue % 360)}; --lighter: ${ordered ? 0 : at % 2}`;
  });
}

/** The style of every row, the same in all charts. */
export function rowColours(rows: readonly StudyRow[]): readonly string[] {
  const values = rows.map(({ point }) => Object.values(point));
  return coloursOf(values.map((row) => row.length === 1 ? row[0] : row));
}

/** A coloured mark in front of a name. */
export function swatch(style: string): Html {
  return markup`<i class="swatch" style="${style}"></i>`;
}
