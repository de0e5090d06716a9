/** Lines over the steps of a run, as SVG. */
import { drawLevels, drawMarks } from "./axes.ts";
import { type Html, joinHtml, markup } from "./html.ts";
import { linearScale, logScale, showTick } from "./scale.ts";

/** One line. */
export interface Series {
  /** Its name in the legend. */
  readonly name: string;
  /** Steps and values, in order. */
  readonly points: readonly (readonly [step: number, value: number])[];
  /** The number of its colour in the page, from 1. */
  readonly colour: 1 | 2 | 3;
}

/** The contents of a chart. */
export interface LineChart {
  /** Its title. */
  readonly title: string;
  /** The lines. */
  readonly series: readonly Series[];
  /** Whether the scale is logarithmic; only if all values are positive. */
  readonly logarithmic?: boolean;
}

/** A line as it is drawn. */
export interface Line {
  /** The classes of its group. */
  readonly classes: string;
  /** The style of its group, and the table row that it belongs to, if any. */
  readonly row?: { readonly style: string; readonly index: number };
  /** Its title. */
  readonly title: string;
  /** Steps and values, in order, at least one. */
  readonly points: Series["points"];
}

/** The largest number of points of a line; more points are averaged. */
const MOST_POINTS = 300;

/** Draws a chart; empty if no line has a point. */
export function drawLineChart({ title, series, logarithmic = false }: LineChart): Html {
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return markup``;
  const lines = drawn.map(({ name, points, colour }): Line => ({
    classes: `series${colour}`,
    title: name,
    points: thinned(points, MOST_POINTS),
  }));
  const legend = drawn.map(({ name, points, colour }) =>
    markup`<span class="key series${colour}"><i></i>${name} <b>${
      showTick(points[points.length - 1][1])
    }</b></span>`
  );
  return markup`<figure class="chart"><figcaption><h3>${title}</h3><p class="legend">${legend}</p></figcaption>
${drawLines(lines, `${title} over steps`, { logarithmic })}</figure>`;
}

/** Draws lines over one grid as SVG. A page can run this function too, because it uses only `valueRange` and this
 * folder's scales, axes and templates.
 * @param reach as of `valueRange`; a line that leaves the range runs along the chart's edge
 */
export function drawLines(
  lines: readonly Line[],
  label: string,
  { logarithmic, reach = Infinity }: { readonly logarithmic: boolean; readonly reach?: number },
): Html {
  const frame = { left: 48, right: 548, bottom: 204 }, top = 12;
  let last = 1;
  for (const { points } of lines) for (const [step] of points) last = Math.max(last, step);
  const range = valueRange(lines, reach, logarithmic);
  const within = (value: number) => Math.min(Math.max(value, range[0]), range[1]);
  const vertical = (logarithmic && range[0] > 0 ? logScale : linearScale)(range, [
    frame.bottom,
    top,
  ]);
  const horizontal = linearScale([0, last], [frame.left, frame.right], 5);
  const drawn = lines.map(({ classes, row, title, points }) => {
    const places = points.map(([step, value]) =>
      `${horizontal.at(step).toFixed(1)},${vertical.at(within(value)).toFixed(1)}`
    );
    const [lastX, lastY] = places[places.length - 1].split(",");
    const place = row === undefined ? [] : markup` data-row="${row.index}" style="${row.style}"`;
    return markup`<g class="${classes}"${place}><polyline points="${
      places.join(" ")
    }"><title>${title}</title></polyline><circle cx="${lastX}" cy="${lastY}" r="2.5"/></g>`;
  });
  return markup`<svg viewBox="0 0 560 230" role="img" aria-label="${label}">
${joinHtml([...drawLevels(vertical, frame), ...drawMarks(horizontal, frame), ...drawn])}
</svg>`;
}

/** The range of the values of lines. A line that diverges does not flatten the others. A page can run this function
 * too.
 * @param reach limits the influence of diverging lines. On a logarithmic scale (errors), a line above this many times
 * the median line's largest value does not extend the top. On a linear scale (decibels), a line this far below the
 * median line's smallest value does not extend the bottom
 */
export function valueRange(
  lines: readonly Pick<Line, "points">[],
  reach: number,
  logarithmic: boolean,
): readonly [low: number, high: number] {
  if (lines.length === 0) return [0, 1];
  const lows: number[] = [], highs: number[] = [];
  for (const { points } of lines) {
    let low = Infinity, high = -Infinity;
    for (const [, value] of points) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    lows.push(low);
    highs.push(high);
  }
  const middle = Math.floor((lines.length - 1) / 2);
  const top = logarithmic ? highs.toSorted((a, b) => a - b)[middle] * reach : Infinity;
  const bottom = logarithmic ? -Infinity : lows.toSorted((a, b) => b - a)[middle] - reach;
  return [
    Math.min(...lows.filter((low) => low >= bottom)),
    Math.max(...highs.filter((high) => high <= top)),
  ];
}

/** Averages neighbouring points, so that at most `most` + 1 remain; the last point is kept. */
export function thinned(points: Series["points"], most: number): Series["points"] {
  const group = Math.ceil(points.length / most);
  if (group <= 1) return points;
  const means: (readonly [number, number])[] = [];
  for (let start = 0; start < points.length; start += group) {
    const part = points.slice(start, start + group);
    const sum = (at: 0 | 1) => part.reduce((total, point) => total + point[at], 0);
    means.push([sum(0) / part.length, sum(1) / part.length]);
  }
  return [...means, points[points.length - 1]];
}
