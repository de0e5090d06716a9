/** A histogram of how often each code is chosen, in descending order, as SVG. */
import type { CodebookReport } from "../metrics/codebook.ts";
import { drawLevels } from "./axes.ts";
import { type Html, joinHtml, markup } from "./html.ts";
import { linearScale } from "./scale.ts";

const LEFT = 48, TOP = 12;

/** Draws the histogram: one bar per code, and a line under dead codes.
 * @param histogram counts in descending order
 */
export function drawHistogram(
  { histogram }: Pick<CodebookReport, "histogram">,
  [totalWidth, height]: readonly [number, number] = [1132, 210],
): Html {
  const right = totalWidth - 12, bottom = height - 26;
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const codes = histogram.length, width = (right - LEFT) / codes;
  const vertical = linearScale([0, 100 * histogram[0] / total], [bottom, TOP], 3);
  const grid = drawLevels(vertical, { left: LEFT, right, bottom }, " %");
  const used = histogram.filter((count) => count > 0);
  const start = LEFT + used.length * width, dead = codes - used.length;
  const tops = used.map((count) => vertical.at(100 * count / total).toFixed(1));
  const bars = width > 4
    ? tops.map((y, rank) =>
      `M${(LEFT + rank * width).toFixed(2)} ${bottom}V${y}h${(width - 1).toFixed(2)}V${bottom}z`
    ).join("")
    : stairs(tops, (rank) => (LEFT + rank * width).toFixed(1), bottom);
  const equal = vertical.at(100 / codes).toFixed(1);
  const marks = dead === 0
    ? []
    : markup`<line class="dead-line" x1="${
      start.toFixed(1)
    }" x2="${right}" y1="${bottom}" y2="${bottom}"/><text class="tick dead-text" x="${
      Math.min((start + right) / 2, right - 60).toFixed(
        1,
      )
    }" y="${bottom + 18}" text-anchor="middle">${dead} dead</text>`;
  return markup`<svg viewBox="0 0 ${totalWidth} ${height}" role="img" aria-label="share of each code, sorted">
${joinHtml(grid)}
<path class="bars" d="${bars}"/>
<line class="equal" x1="${LEFT}" x2="${right}" y1="${equal}" y2="${equal}"><title>equal use of all codes</title></line>
${marks}
<text class="tick" x="${LEFT}" y="${bottom + 18}">1</text>
<text class="tick" x="${right}" y="${bottom + 18}" text-anchor="end">${codes}</text>
</svg>`;
}

/** Bars without gaps, as one path, with a step only where the next bar is lower. */
function stairs(tops: readonly string[], at: (rank: number) => string, bottom: number): string {
  const steps = tops.map((y, rank) => tops[rank + 1] === y ? "" : `V${y}H${at(rank + 1)}`);
  return `M${at(0)} ${bottom}${steps.join("")}V${bottom}z`;
}
