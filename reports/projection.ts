/** A two-dimensional plot of codes and features (UMAP, arXiv 1802.03426), as SVG. */
import { UMAP } from "umap-js";
import { greatestOf, leastOf } from "../core/extremes.ts";
import { philox, randomKey, unitInterval } from "../core/random.ts";
import type { CodeSpace } from "../training/run_evaluation.ts";
import { type Html, joinHtml, markup } from "./html.ts";
import { linearScale } from "./scale.ts";

const WIDTH = 1132, HEIGHT = 620, MARGIN = 20;
const NEIGHBOURS = 15, EPOCHS = 200;
/** The maximum number of codes shown, evenly spaced. */
const MOST_CODES = 1024;

/** A point of the plane. */
type Point = readonly [x: number, y: number];

/** Draws features as dots, codes in use as discs, dead codes as crosses. Empty if there are too few points. */
export function drawProjection({ width, codes, counts, features }: CodeSpace): Html {
  const shown = chosenCodes(counts.length);
  const row = (values: Float32Array, index: number) =>
    Array.from(values.subarray(index * width, (index + 1) * width));
  const rows = [
    ...Array.from({ length: features.length / width }, (_, index) => row(features, index)),
    ...shown.map((code) => row(codes, code)),
  ];
  if (rows.length <= NEIGHBOURS) return markup``;
  const umap = new UMAP({
    nNeighbors: NEIGHBOURS,
    nEpochs: EPOCHS,
    minDist: 0.15,
    random: seededRandom(),
  });
  const points = umap.fit(rows) as unknown as readonly Point[];
  const place = placing(points);
  const dots = points.slice(0, rows.length - shown.length).map((point) => {
    const [x, y] = place(point);
    return `M${x} ${y}h0`;
  });
  const isDead = (code: number) => counts[code] === 0;
  const marks = shown.map((code, at) => {
    const [x, y] = place(points[rows.length - shown.length + at]);
    return isDead(code)
      ? markup`<path class="dead" d="M${x} ${y}m-3-3l6 6m0-6l-6 6"><title>code ${code}: never</title></path>`
      : markup`<circle class="used" cx="${x}" cy="${y}" r="3.5"><title>code ${code}: ${
        counts[code]
      }</title></circle>`;
  });
  // Dead codes are drawn on top.
  const onTop = [false, true].flatMap((dead) =>
    marks.filter((_, at) => isDead(shown[at]) === dead)
  );
  return markup`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="codes among features">
<path class="features" d="${dots.join("")}"/>
${joinHtml(onTop)}
</svg>`;
}

function chosenCodes(codes: number): readonly number[] {
  const count = Math.min(codes, MOST_CODES);
  return Array.from({ length: count }, (_, at) => Math.floor(at * codes / count));
}

/** A generator of the same random numbers in every report. */
function seededRandom(): () => number {
  const key = randomKey(0, "projection"), words = new Uint32Array(4);
  let drawn = 0;
  return () => {
    if (drawn % 4 === 0) philox(key, drawn / 4, 0, words);
    return unitInterval(words[drawn++ % 4]);
  };
}

/** Scales points to fit the picture. */
function placing(points: readonly Point[]): (point: Point) => Point {
  const scaleOf = (axis: 0 | 1, pixels: number) => {
    const values = points.map((point) => point[axis]);
    const range = [leastOf(values), greatestOf(values)] as const;
    const low = linearScale([0, 1], [MARGIN, pixels - MARGIN]);
    const span = range[1] - range[0] || 1;
    return (value: number) => Number(low.at((value - range[0]) / span).toFixed(1));
  };
  const across = scaleOf(0, WIDTH), down = scaleOf(1, HEIGHT);
  return ([x, y]) => [across(x), down(y)];
}
