/** The paper's blob plot as SVG: reconstruction error over usage; for generators, FID over the usage or the error of
 * their first stages. */
import { greatestOf, leastOf } from "../core/extremes.ts";
import { drawLevels, drawMarks, type GridFrame } from "../reports/axes.ts";
import { type Html, joinHtml, markup } from "../reports/html.ts";
import { linearScale, logScale, type Scale } from "../reports/scale.ts";
import { coloursOf, haveOrder, rowColours, swatch } from "./colours.ts";
import { type Measure, MEASURE_TITLES } from "./measures.ts";
import { type Spread, spreadOf, type StudyRow } from "./rows.ts";

const WIDTH = 900, LEFT = 72, TOP = 30;
/** The width of a letter of the labels beside the grid, and the smallest right end of the grid, in pixels. */
const LETTER = 6.3, LEAST_RIGHT = 500;
/** The height below the grid, and the minimum height of the grid, in pixels. */
const FOOT = 56, LEAST_HEIGHT = 330;
/** The radii of the smallest and the largest blob, and the radius if sizes have no meaning. */
const RADII = [5, 20] as const, PLAIN = 8;
/** The distance between neighbouring labels, in pixels. */
const LABEL = 15;

/** A kind of plot. */
interface Kind {
  readonly across: Measure;
  readonly up: Measure;
  /** The titles below and above the plot. */
  readonly words: readonly [below: string, above: string];
}

/** The kinds of plots. A table gets those plots for which it has the measures. */
const KINDS: readonly Kind[] = [
  { across: "usage", up: "mse", words: ["usage, % of the codes", "test mse, lower is better"] },
  ...([
    ["stage1Usage", "usage of the first stage, % of its codes"],
    ["stage1Mse", "test mse of the first stage"],
  ] as const).map(([across, below]): Kind => ({
    ...{ across, up: "fid", words: [below, "FID of the samples, lower is better"] },
  })),
];

/** A combination and its position in the plot. */
interface Blob {
  readonly row: StudyRow;
  /** The index of the row in its table. */
  readonly index: number;
  /** The measures on the horizontal and on the vertical axis. */
  readonly across: Spread;
  readonly up: Spread;
  readonly style: string;
  readonly radius: number;
}

/** Draws one plot per axis and kind. Each combination is at its mean usage and its mean test mse, with error bars of one
 * standard deviation; generators are placed by the usage or the error of their first stage and by the FID of their
 * samples. If the values of the axis are numbers, their logarithm determines the size of the blobs. If they have an
 * order, lines join the combinations that differ only in this axis; if there are other axes, each line has a colour. If
 * the values have no order, each value has a colour. Empty if nothing was measured.
 */
export function drawBlobs(rows: readonly StudyRow[]): Html {
  const axes = Object.keys(rows[0].point);
  return joinHtml(KINDS.flatMap((kind) => axes.map((axis) => drawAxis(rows, axis, kind))));
}

function drawAxis(rows: readonly StudyRow[], axis: string, kind: Kind): Html {
  const others = Object.keys(rows[0].point).filter((other) => other !== axis);
  const lineOf = (row: StudyRow) => others.map((other) => String(row.point[other])).join(", ");
  const valueOf = (row: StudyRow) => String(row.point[axis]);
  const values = rows.map(({ point }) => point[axis]), ordered = haveOrder(values);
  const keyOf = ordered && others.length > 0 ? lineOf : valueOf;
  const keys = [...new Set(rows.map(keyOf))];
  const styles = others.length === 0 ? rowColours(rows) : coloursOf(keys);
  const blobs = placeBlobs(rows, axis, kind, (row) => styles[keys.indexOf(keyOf(row))]);
  if (blobs.length === 0) return markup``;
  const letters = greatestOf(blobs.map(({ row }) => row.label.length));
  const right = Math.max(LEAST_RIGHT, WIDTH - 20 - LETTER * letters);
  const bottom = TOP + Math.max(LEAST_HEIGHT, LABEL * blobs.length);
  const plot: Plot = {
    kind,
    across: scaleOf(kind.across, blobs.map(({ across }) => across), [LEFT, right]),
    up: scaleOf(kind.up, blobs.map(({ up }) => up), [bottom, TOP]),
    frame: { left: LEFT, right, bottom },
  };
  const lines = ordered ? [...Map.groupBy(blobs, ({ row }) => lineOf(row)).values()] : [];
  const legend = keys.map((key, at) => markup`<span>${swatch(styles[at])}${key}</span>`);
  return markup`<figure class="blobs" style="--whole: ${
    (100 * WIDTH / (right + 24)).toFixed(0)
  }%"><figcaption><h3>${axis}</h3>${
    others.length === 0 ? "" : markup`<p class="keys">${legend}</p>`
  }</figcaption><svg viewBox="0 0 ${WIDTH} ${bottom + FOOT}" role="img" aria-label="${
    MEASURE_TITLES[kind.up].title
  } over ${MEASURE_TITLES[kind.across].title}: ${axis}">${drawGrid(plot)}<g class="labels">${
    drawLabels(plot, blobs)
  }</g>
${joinHtml(lines.map((line) => drawLine(plot, axis, line)))}
${joinHtml(largestFirst(blobs).map((blob) => drawBlob(plot, blob)))}
</svg></figure>`;
}

/** The kind of a plot, and its scales. */
interface Plot {
  readonly kind: Kind;
  readonly across: Scale;
  readonly up: Scale;
  readonly frame: GridFrame;
}

/** Places the measured rows in the plot. */
function placeBlobs(
  rows: readonly StudyRow[],
  axis: string,
  kind: Kind,
  styleOf: (row: StudyRow) => string,
): readonly Blob[] {
  const radiusOf = radii(rows.map(({ point }) => point[axis]));
  return rows.flatMap((row, index) => {
    const across = spreadOf(row, kind.across), up = spreadOf(row, kind.up);
    if (across === null || up === null) return [];
    return [{ row, index, across, up, style: styleOf(row), radius: radiusOf(row.point[axis]) }];
  });
}

/** From 0 to 100 for a percentage of the codes; otherwise around the values with their bars. */
function scaleOf(
  measure: Measure,
  spreads: readonly Spread[],
  pixels: readonly [from: number, to: number],
): Scale {
  if (isShare(measure)) return linearScale([0, 100], pixels, 5);
  const ends = spreads.flatMap(barOf);
  const low = leastOf(ends), high = greatestOf(ends);
  return (high > 3 * low && low > 0 ? logScale : linearScale)([low, high], pixels);
}

/** Whether the measure is shown in %. */
function isShare(measure: Measure): boolean {
  return MEASURE_TITLES[measure].factor === 100;
}

/** The ends of an error bar of one standard deviation, not below a tenth of the mean, because scales may be logarithmic.
 */
function barOf({ mean, deviation }: Spread): readonly [low: number, high: number] {
  const side = deviation ?? 0;
  return [Math.max(mean - side, mean / 10), mean + side];
}

/** The radius of a value's blob: by its logarithm, if all values are positive numbers. */
function radii(values: readonly unknown[]): (value: unknown) => number {
  const numbers = values.filter((value) => typeof value === "number" && value > 0).map(Number);
  const low = Math.log(leastOf(numbers)), span = Math.log(greatestOf(numbers)) - low;
  if (numbers.length < values.length || span === 0) return () => PLAIN;
  return (value) => RADII[0] + (Math.log(Number(value)) - low) / span * (RADII[1] - RADII[0]);
}

function drawGrid({ kind: { words: [below, above] }, across, up, frame }: Plot): Html {
  const { left, right, bottom } = frame;
  return joinHtml([
    ...drawLevels(up, frame),
    ...drawMarks(across, frame),
    markup`<text class="tick" x="0" y="12">${above}</text>`,
    markup`<text class="tick" x="${(left + right) / 2}" y="${
      bottom + 42
    }" text-anchor="middle">${below}</text>`,
  ]);
}

/** Joins combinations in the order of their values. */
function drawLine({ across, up }: Plot, axis: string, blobs: readonly Blob[]): Html {
  const sorted = blobs.toSorted((a, b) => Number(a.row.point[axis]) - Number(b.row.point[axis]));
  const places = sorted.map((blob) =>
    `${across.at(blob.across.mean).toFixed(1)},${up.at(blob.up.mean).toFixed(1)}`
  );
  return markup`<polyline class="joins" points="${places.join(" ")}"/>`;
}

/** Sorts the blobs so that none hides a smaller one. */
function largestFirst(blobs: readonly Blob[]): readonly Blob[] {
  return blobs.toSorted((a, b) => b.radius - a.radius);
}

function drawBlob({ kind, across, up }: Plot, blob: Blob): Html {
  const { row, index, style, radius } = blob, most = isShare(kind.across) ? 100 : Infinity;
  const x = across.at(blob.across.mean).toFixed(1), y = up.at(blob.up.mean).toFixed(1);
  const [left, right] = barOf(blob.across).map((end) => across.at(Math.min(end, most)).toFixed(1));
  const [low, high] = barOf(blob.up).map((end) => up.at(end).toFixed(1));
  return markup`<g class="blob coloured" data-row="${index}" style="${style}"><title>${row.name}</title><path d="M${left} ${y}H${right}M${x} ${low}V${high}"/><circle cx="${x}" cy="${y}" r="${
    radius.toFixed(1)
  }"/></g>`;
}

/** The rows' names in a column beside the grid, from the top down, each with a line to its blob. */
function drawLabels({ across, up, frame }: Plot, blobs: readonly Blob[]): Html {
  const { right, bottom } = frame;
  let next = TOP;
  const sorted = blobs.toSorted((a, b) => up.at(a.up.mean) - up.at(b.up.mean));
  return joinHtml(sorted.map((blob, at) => {
    const { row, index, radius } = blob;
    const y = up.at(blob.up.mean), last = bottom - (sorted.length - 1 - at) * LABEL;
    const place = Math.max(next, Math.min(y, last));
    next = place + LABEL;
    const from = across.at(blob.across.mean) + radius;
    return markup`<g class="label" data-row="${index}"><path class="grid" d="M${from.toFixed(1)} ${
      y.toFixed(1)
    }L${right + 10} ${
      place.toFixed(
        1,
      )
    }"/><text class="tick" x="${right + 14}" y="${
      place.toFixed(1)
    }" dy="0.32em">${row.label}</text></g>`;
  }));
}
