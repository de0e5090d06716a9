/** How often each code is chosen, from the most to the least, as SVG. */
import type { CodebookReport } from "../../metrics/codebook.ts";
import { linearScale, showTick } from "./scale.ts";

const WIDTH = 1132, HEIGHT = 210;
const LEFT = 48, RIGHT = 1120, TOP = 12, BOTTOM = 184;

/** Draws the histogram: a bar a code, and a line under those that are dead. */
export function drawHistogram({ histogram, dead }: CodebookReport): string {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const codes = histogram.length, width = (RIGHT - LEFT) / codes;
  const vertical = linearScale([0, 100 * histogram[0] / total], [BOTTOM, TOP], 3);
  const grid = vertical.ticks.map((tick) => {
    const y = vertical.at(tick).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/>` +
      `<text class="tick" x="${LEFT - 8}" y="${y}" dy="0.32em" text-anchor="end">${
        showTick(tick)
      } %</text>`;
  });
  // One path: a bar's top, and down at its end.
  const bars = histogram.filter((count) => count > 0).map((count, rank) => {
    const from = LEFT + rank * width, gap = width > 4 ? 1 : 0;
    const y = vertical.at(100 * count / total);
    return `M${from.toFixed(2)} ${BOTTOM}V${y.toFixed(2)}h${(width - gap).toFixed(2)}V${BOTTOM}z`;
  });
  const used = codes - dead.length, start = LEFT + used * width;
  const equal = vertical.at(100 / codes).toFixed(1);
  const marks = dead.length === 0
    ? ""
    : `<line class="dead-line" x1="${
      start.toFixed(1)
    }" x2="${RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}"/>` +
      `<text class="tick dead-text" x="${
        Math.min((start + RIGHT) / 2, RIGHT - 60).toFixed(1)
      }" y="${BOTTOM + 18}" text-anchor="middle">${dead.length} dead</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="share of each code, sorted">
${grid.join("\n")}
<path class="bars" d="${bars.join("")}"/>
<line class="equal" x1="${LEFT}" x2="${RIGHT}" y1="${equal}" y2="${equal}"><title>as often as each other</title></line>
${marks}
<text class="tick" x="${LEFT}" y="${BOTTOM + 18}">1</text>
<text class="tick" x="${RIGHT}" y="${BOTTOM + 18}" text-anchor="end">${codes}</text>
</svg>`;
}
