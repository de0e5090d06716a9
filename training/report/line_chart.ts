/** Lines over the steps of a run, as SVG. */
import { escapeHtml } from "./page.ts";
import { linearScale, logScale, showTick } from "./scale.ts";

/** One line. */
export interface Series {
  /** What it is called in the legend. */
  readonly name: string;
  /** Steps and values, in order. */
  readonly points: readonly (readonly [step: number, value: number])[];
  /** Which of the page's colours it has, from 1. */
  readonly colour: 1 | 2 | 3;
}

/** What a chart shows. */
export interface LineChart {
  /** Its title. */
  readonly title: string;
  /** The lines. */
  readonly series: readonly Series[];
  /** Whether values lie on a logarithmic scale; only where all are positive. */
  readonly logarithmic?: boolean;
}

/** A line as it is drawn. */
export interface Line {
  /** Attributes of its group, which give it its colour. */
  readonly attributes: string;
  /** What it is called, as HTML. */
  readonly title: string;
  /** Steps and values, in order, at least one. */
  readonly points: Series["points"];
}

/** Points that a line has at most; more are averaged. */
const MOST_POINTS = 300;

/** Draws a chart; nothing where no line has a point. */
export function drawLineChart({ title, series, logarithmic = false }: LineChart): string {
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return "";
  const lines = drawn.map(({ name, points, colour }): Line => ({
    attributes: `class="series${colour}"`,
    title: escapeHtml(name),
    points: thinned(points, MOST_POINTS),
  }));
  const legend = drawn.map(({ name, points, colour }) =>
    `<span class="key series${colour}"><i></i>${escapeHtml(name)} <b>${
      showTick(points[points.length - 1][1])
    }</b></span>`
  );
  return `<figure class="chart"><figcaption><h3>${title}</h3><p class="legend">${
    legend.join("")
  }</p></figcaption>
${drawLines(lines, `${title} over steps`, logarithmic)}</figure>`;
}

/** Draws lines over one grid as SVG. A page can run this function too: it uses nothing but `linearScale`, `logScale` and
 * `showTick`. */
export function drawLines(lines: readonly Line[], label: string, logarithmic: boolean): string {
  const [left, right, top, bottom] = [48, 548, 12, 204];
  const points = lines.flatMap((line) => line.points);
  const values = points.map(([, value]) => value), steps = points.map(([step]) => step);
  const range = points.length === 0
    ? [0, 1] as const
    : [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] as const;
  const vertical = (logarithmic && range[0] > 0 ? logScale : linearScale)(range, [bottom, top]);
  const horizontal = linearScale([0, steps.reduce((a, b) => Math.max(a, b), 1)], [left, right], 5);
  const grid = vertical.ticks.map((tick) => {
    const y = vertical.at(tick).toFixed(1);
    return `<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/>` +
      `<text class="tick" x="${left - 8}" y="${y}" dy="0.32em" text-anchor="end">${
        showTick(tick)
      }</text>`;
  });
  const axis = horizontal.ticks.map((tick) =>
    `<text class="tick" x="${horizontal.at(tick).toFixed(1)}" y="${
      bottom + 18
    }" text-anchor="middle">${showTick(tick)}</text>`
  );
  const drawn = lines.map(({ attributes, title, points }) => {
    const places = points.map(([step, value]) =>
      `${horizontal.at(step).toFixed(1)},${vertical.at(value).toFixed(1)}`
    );
    const [lastX, lastY] = places[places.length - 1].split(",");
    return `<g ${attributes}><polyline points="${places.join(" ")}"><title>${title}` +
      `</title></polyline><circle cx="${lastX}" cy="${lastY}" r="2.5"/></g>`;
  });
  return `<svg viewBox="0 0 560 230" role="img" aria-label="${label}">
${[...grid, ...axis, ...drawn].join("\n")}
</svg>`;
}

/** The means of neighbouring points, so that there are at most `most` and one; the last stays. */
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
