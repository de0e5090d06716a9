/** The paper's blob plot: quality against usage, as SVG. */
import { escapeHtml } from "../report/page.ts";
import { linearScale, logScale, showTick } from "../report/scale.ts";
import { spreadOf, type StudyRow } from "./rows.ts";

const WIDTH = 820, HEIGHT = 400;
const LEFT = 60, RIGHT = 640, TOP = 16, BOTTOM = 350;
/** The radii of the smallest and the largest blob; one between them where sizes say nothing. */
const RADII = [4, 18] as const, PLAIN = 8;
/** Pixels from one label to the next below it. */
const LABEL = 14;

interface Blob {
  readonly row: StudyRow;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** Draws every combination where its mean usage and its mean test mse are, with bars of a standard deviation; where an
 * axis has numbers, the blob's size is that number, by its logarithm. Nothing where nothing was measured. */
export function drawBlobs(rows: readonly StudyRow[]): string {
  const measured = rows.flatMap((row) => {
    const usage = spreadOf(row, "usage"), mse = spreadOf(row, "mse");
    return usage === null || mse === null ? [] : [{ row, usage, mse }];
  });
  if (measured.length === 0) return "";
  const across = linearScale([0, 100], [LEFT, RIGHT], 5);
  const errors = measured.map(({ mse }) => mse.mean);
  const range = [Math.min(...errors), Math.max(...errors)] as const;
  const up = range[1] > 3 * range[0] && range[0] > 0
    ? logScale(range, [BOTTOM, TOP])
    : linearScale(range, [BOTTOM, TOP]);
  const radiusOf = radii(rows);
  const blobs = measured.map(({ row, usage, mse }) => ({
    row,
    x: across.at(usage.mean),
    y: up.at(mse.mean),
    radius: radiusOf(row),
  }));
  const bars = measured.map(({ usage, mse }) => {
    const x = across.at(usage.mean), y = up.at(mse.mean);
    const wide = usage.deviation === null ? 0 : across.at(usage.deviation) - across.at(0);
    const high = mse.deviation === null
      ? [y, y]
      : [-1, 1].map((side) => up.at(Math.max(mse.mean + side * mse.deviation!, mse.mean / 10)));
    return `<path class="spread" stroke="currentColor" fill="none" d="M${x - wide} ${y}H${
      x + wide
    }M${x} ${high[0]}V${high[1]}"/>`;
  });
  return `<figure><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Test mse over usage">
${drawGrid(across, up)}
<g class="series1">${bars.join("")}${blobs.map(drawBlob).join("\n")}</g>
${drawLabels(blobs)}
</svg></figure>`;
}

/** How large blobs are: by the first axis whose values are all positive numbers, if there is one. */
function radii(rows: readonly StudyRow[]): (row: StudyRow) => number {
  const isSize = (value: unknown): value is number => typeof value === "number" && value > 0;
  const axis = Object.keys(rows[0].point).find((name) =>
    rows.every((row) => isSize(row.point[name]))
  );
  const sizeOf = (row: StudyRow) => Math.log(Number(row.point[axis ?? ""]));
  const sizes = rows.map(sizeOf);
  const low = Math.min(...sizes), span = Math.max(...sizes) - low;
  if (axis === undefined || span === 0) return () => PLAIN;
  return (row) => RADII[0] + (sizeOf(row) - low) / span * (RADII[1] - RADII[0]);
}

function drawGrid(
  across: ReturnType<typeof linearScale>,
  up: ReturnType<typeof linearScale>,
): string {
  const horizontal = up.ticks.map((tick) =>
    `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${up.at(tick)}" y2="${up.at(tick)}"/>` +
    `<text class="tick" x="${LEFT - 8}" y="${up.at(tick)}" dy="0.32em" text-anchor="end">${
      showTick(tick)
    }</text>`
  );
  const marks = across.ticks.map((tick) =>
    `<text class="tick" x="${across.at(tick)}" y="${BOTTOM + 20}" text-anchor="middle">${
      showTick(tick)
    }</text>`
  );
  const title = `<text class="tick" x="${(LEFT + RIGHT) / 2}" y="${
    BOTTOM + 40
  }" text-anchor="middle">usage, %</text>`;
  return [...horizontal, ...marks, title].join("\n");
}

function drawBlob({ row, x, y, radius }: Blob): string {
  return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${
    radius.toFixed(1)
  }" fill-opacity="0.55"><title>${escapeHtml(row.name)}</title></circle>`;
}

/** The points' values in a column beside the plot, from the top down, each with a line to its blob. */
function drawLabels(blobs: readonly Blob[]): string {
  let next = TOP;
  const sorted = blobs.toSorted((a, b) => a.y - b.y);
  return sorted.map(({ row, x, y, radius }, index) => {
    const last = BOTTOM - (sorted.length - 1 - index) * LABEL;
    const at = Math.max(next, Math.min(y, last));
    next = at + LABEL;
    const text = Object.values(row.point).join(", ");
    return `<path class="grid" stroke-dasharray="2 3" fill="none" d="M${(x + radius).toFixed(1)} ${
      y.toFixed(1)
    }L${RIGHT + 8} ${at.toFixed(1)}"/><text class="tick" x="${RIGHT + 12}" y="${
      at.toFixed(1)
    }" dy="0.32em">${escapeHtml(text)}</text>`;
  }).join("\n");
}
