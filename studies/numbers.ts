/** The numbers of a study as HTML. */
import { type Html, type HtmlValue, joinHtml, markup } from "../reports/html.ts";
import { rowColours, swatch } from "./colours.ts";
import { bestRow, clearWinner, comparedMeasures, showDifference } from "./differences.ts";
import { type Measure, MEASURE_TITLES } from "./measures.ts";
import { showSpread, type StudyRow } from "./rows.ts";

/** Draws the mean and deviation of every combination; the best of a column is bold if it is clear. */
export function drawNumbers(rows: readonly StudyRow[], measures: readonly Measure[]): Html {
  const winners = new Map(measures.map((measure) => [measure, clearWinner(rows, measure)]));
  return drawTable(rows, [
    ...measures.map((measure) => ({
      title: MEASURE_TITLES[measure].title,
      cellOf: (row: StudyRow) => {
        const shown = showSpread(row, measure);
        return winners.get(measure) === row ? markup`<b>${shown}</b>` : shown;
      },
    })),
    { title: "seeds", cellOf: ({ runs }: StudyRow) => String(runs.length) },
  ]);
}

/** Draws how every combination differs from the best; empty if the seeds do not allow a test. */
export function drawDifferences(rows: readonly StudyRow[], measures: readonly Measure[]): Html {
  const compared = comparedMeasures(rows, measures);
  if (compared.length === 0) return markup``;
  return drawTable(
    rows,
    compared.map((measure) => ({
      title: MEASURE_TITLES[measure].title,
      cellOf: (row: StudyRow) => showDifference(row, bestRow(rows, measure)!, measure),
    })),
  );
}

/** A column of numbers. */
interface Column {
  readonly title: string;
  /** The content of a row's cell. */
  readonly cellOf: (row: StudyRow) => HtmlValue;
}

function drawTable(rows: readonly StudyRow[], columns: readonly Column[]): Html {
  const axes = Object.keys(rows[0].point), styles = rowColours(rows);
  const titles = [...axes, ...columns.map(({ title }) => title)];
  const body = rows.map((row, index) => {
    const values = axes.map((axis, at) =>
      markup`<td>${at === 0 ? swatch(styles[index]) : ""}${String(row.point[axis])}</td>`
    );
    const numbers = columns.map(({ cellOf }) => markup`<td class="value">${cellOf(row)}</td>`);
    return markup`<tr data-row="${index}">${values}${numbers}</tr>`;
  });
  return markup`<div class="wide"><table><thead><tr>${
    titles.map((title) => markup`<th>${title}</th>`)
  }</tr></thead><tbody>${joinHtml(body)}</tbody></table></div>`;
}
