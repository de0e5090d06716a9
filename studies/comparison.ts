/** The curves of all runs of a study, in charts with selectable runs. */
import { drawLines, type Line, thinned, valueRange } from "../reports/line_chart.ts";
import type { RunRecord } from "../training/run_record.ts";
import { drawLevels, drawMarks } from "../reports/axes.ts";
import { escapeHtml, Html, joinHtml, markup } from "../reports/html.ts";
import { dataBlock } from "../reports/page_content.ts";
import { linearScale, logScale, niceStep, showTick } from "../reports/scale.ts";
import { rowColours, swatch } from "./colours.ts";
import type { ComparedChart, ComparedLine } from "./comparison_script.ts";
import { compareRuns } from "./comparison_script.ts";
import type { StudyRun } from "./records.ts";
import type { StudyRow } from "./rows.ts";

/** The largest number of points in a line. There are many lines, and the page contains them twice. */
const MOST_POINTS = 150;

/** A quantity that is drawn over the steps. */
interface Curve {
  readonly title: string;
  /** The kind of record that contains it. */
  readonly kind: "step" | "epoch";
  readonly valueOf: (record: RunRecord) => unknown;
  /** Whether the scale is logarithmic; then values of 0 are left out. */
  readonly logarithmic: boolean;
  /** How far a run may be from the others and still be included in the chart's range; see `valueRange`. */
  readonly reach?: number;
}

/** A run diverges if its error is a thousand times that of the others, or 30 dB below. */
const FACTOR = 1000, DECIBELS = 30;

const test = (name: string) => (record: RunRecord): unknown =>
  ((record.test ?? record.validation) as Readonly<Record<string, unknown>> | undefined)?.[name];

const CURVES: readonly Curve[] = [
  { title: "Loss", kind: "step", valueOf: ({ loss }) => loss, logarithmic: true, reach: FACTOR },
  {
    title: "Quantiser loss",
    kind: "step",
    valueOf: ({ quantizerLoss }) => quantizerLoss,
    logarithmic: true,
    reach: FACTOR,
  },
  { title: "Test mse", kind: "epoch", valueOf: test("mse"), logarithmic: true, reach: FACTOR },
  {
    title: "Test PSNR, dB",
    kind: "epoch",
    valueOf: test("psnr"),
    logarithmic: false,
    reach: DECIBELS,
  },
  {
    title: "Usage on the test images, %",
    kind: "epoch",
    valueOf: (record) => 100 * Number(test("usage")(record)),
    logarithmic: false,
  },
  {
    title: "Perplexity on the test images",
    kind: "epoch",
    valueOf: test("perplexity"),
    logarithmic: false,
  },
];

/** Draws one chart per measure, with one line per run: combinations differ in colour, seeds in stroke. The combinations
 * and seeds are listed above; with `COMPARISON_SCRIPT` in the page, they select what the charts show. */
export function drawComparison(
  rows: readonly StudyRow[],
  recordsOf: (run: StudyRun) => readonly RunRecord[],
): Html {
  const styles = rowColours(rows);
  const seeds = [...new Set(rows.flatMap(({ runs }) => runs.map(({ seed }) => seed)))];
  const charts = CURVES.map((curve): ComparedChart => ({
    label: `${curve.title} over steps`,
    logarithmic: curve.logarithmic,
    reach: curve.reach,
    lines: rows.flatMap((row, index) =>
      row.runs.flatMap((run): ComparedLine[] => {
        const line = lineOf(curve, recordsOf(run), {
          classes: `line coloured stroke${seeds.indexOf(run.seed) % 3}`,
          title: seeds.length === 1 ? row.label : `${row.label}, seed ${run.seed}`,
        });
        const place = { style: styles[index], index };
        return line === null ? [] : [{ ...line, row: place, seed: run.seed }];
      })
    ),
  }));
  if (charts.every(({ lines }) => lines.length === 0)) return markup``;
  const figures = charts.map(({ lines, label, ...scale }, at) =>
    markup`<figure class="chart"><figcaption><h3>${CURVES[at].title}</h3></figcaption>
${drawLines(lines, label, scale)}</figure>`
  );
  return markup`${drawChooser(rows, styles, seeds)}
<div class="charts">${joinHtml(figures)}</div>
${dataBlock(charts)}`;
}

/** The script that makes the charts of `drawComparison` interactive: the text of these functions. */
export const COMPARISON_SCRIPT: string = `
${
  [
    ...[Html, escapeHtml, markup, joinHtml, niceStep, linearScale, logScale, showTick],
    ...[drawLevels, drawMarks, valueRange, drawLines, compareRuns],
  ].join("\n")
}
${compareRuns.name}();
`;

/** A run's line in a chart; empty if the run recorded no such value. */
function lineOf(
  { kind, valueOf, logarithmic }: Curve,
  records: readonly RunRecord[],
  about: Omit<Line, "points">,
): Line | null {
  const points = records.filter((record) => record.kind === kind).flatMap((record) => {
    const value = valueOf(record);
    const isShown = typeof value === "number" && Number.isFinite(value) &&
      (value > 0 || !logarithmic);
    return isShown ? [[record.step, value] as const] : [];
  });
  if (points.length === 0) return null;
  const rounded = thinned(points, MOST_POINTS)
    .map(([step, value]) => [Math.round(step), Number(value.toPrecision(4))] as const);
  return { ...about, points: rounded };
}

/** The legend of the charts: every combination, and the seeds if there are several. */
function drawChooser(
  rows: readonly StudyRow[],
  styles: readonly string[],
  seeds: readonly number[],
): Html {
  const combinations = rows.map(({ label, name }, index) =>
    markup`<label data-row="${index}" title="${name}"><input type="checkbox" name="row" value="${index}" checked>${
      swatch(styles[index])
    }${label}</label>`
  );
  const strokes = seeds.length === 1
    ? [markup`<input type="hidden" name="seed" value="${seeds[0]}">`]
    : seeds.map((seed, at) =>
      markup`<label><input type="checkbox" name="seed" value="${seed}" checked><svg class="stroke${
        at % 3
      }" viewBox="0 0 24 2"><path d="M0 1H24"/></svg>seed ${seed}</label>`
    );
  return markup`<form class="chooser" autocomplete="off"><div>${joinHtml(combinations)}</div><div>${
    joinHtml(strokes)
  }
<button type="button" value="all">all</button> <button type="button" value="">none</button></div></form>`;
}
