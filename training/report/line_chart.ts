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

const WIDTH = 560, HEIGHT = 230;
const LEFT = 48, RIGHT = 548, TOP = 12, BOTTOM = 204;
/** Points that a line has at most; more are averaged. */
const MOST_POINTS = 300;

/** Draws a chart; nothing where no line has a point. */
export function drawLineChart({ title, series, logarithmic = false }: LineChart): string {
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return "";
  const points = drawn.flatMap((one) => one.points);
  const values = points.map(([, value]) => value), steps = points.map(([step]) => step);
  const range = [Math.min(...values), Math.max(...values)] as const;
  const vertical = (logarithmic && range[0] > 0 ? logScale : linearScale)(range, [BOTTOM, TOP]);
  const horizontal = linearScale([0, Math.max(...steps)], [LEFT, RIGHT], 5);
  const grid = vertical.ticks.map((tick) => {
    const y = vertical.at(tick).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/>` +
      `<text class="tick" x="${LEFT - 8}" y="${y}" dy="0.32em" text-anchor="end">${
        showTick(tick)
      }</text>`;
  });
  const axis = horizontal.ticks.map((tick) =>
    `<text class="tick" x="${horizontal.at(tick).toFixed(1)}" y="${
      BOTTOM + 18
    }" text-anchor="middle">${showTick(tick)}</text>`
  );
  const lines = drawn.map(({ name, points, colour }) => {
    const places = thinned(points).map(([step, value]) =>
      `${horizontal.at(step).toFixed(1)},${vertical.at(value).toFixed(1)}`
    );
    const [lastX, lastY] = places[places.length - 1].split(",");
    return `<g class="series${colour}"><polyline points="${places.join(" ")}"><title>${
      escapeHtml(name)
    }` +
      `</title></polyline><circle cx="${lastX}" cy="${lastY}" r="2.5"/></g>`;
  });
  const legend = drawn.map(({ name, points, colour }) =>
    `<span class="key series${colour}"><i></i>${escapeHtml(name)} <b>${
      showTick(points[points.length - 1][1])
    }</b></span>`
  );
  return `<figure class="chart"><figcaption><h3>${title}</h3><p class="legend">${
    legend.join("")
  }</p></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title} over steps">
${[...grid, ...axis, ...lines].join("\n")}
</svg></figure>`;
}

/** The means of neighbouring points, so that there are at most `MOST_POINTS`; the last stays. */
function thinned(points: Series["points"]): Series["points"] {
  const group = Math.ceil(points.length / MOST_POINTS);
  if (group === 1) return points;
  const means: (readonly [number, number])[] = [];
  for (let start = 0; start < points.length; start += group) {
    const part = points.slice(start, start + group);
    const sum = (at: 0 | 1) => part.reduce((total, point) => total + point[at], 0);
    means.push([sum(0) / part.length, sum(1) / part.length]);
  }
  return [...means, points[points.length - 1]];
}
