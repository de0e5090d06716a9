/** A comparison of runs as one self-contained page. */
import { type Html, type HtmlValue, joinHtml, markup } from "../reports/html.ts";
import { page, section } from "../reports/page.ts";
import { COMPARISON_SCRIPT } from "./comparison.ts";
import { damagesOf } from "./damage.ts";
import { type Measure, MEASURES } from "./measures.ts";
import { STUDY_STYLE } from "./page_style.ts";
import { tablesOf } from "./rows.ts";
import { type ComparedRun, differingSettings } from "./side_by_side.ts";
import { drawReasons, drawTable } from "./table_page.ts";

/** The measures of every run. */
const SHOWN: readonly Measure[] = MEASURES;

/** Draws the settings in which runs differ, for every protocol of their test numbers the contents of a study's page,
 * and the measurements of `evaluate`. The same runs give the same bytes. */
export function drawSideBySide(runs: readonly ComparedRun[]): string {
  const records = runs.map(({ record }) => record);
  const tables = tablesOf(records);
  const traces = new Map(runs.map(({ record, trace }) => [record, trace]));
  const title = runs.map(({ name }) => name).join(", ");
  const unfinished = runs.filter(({ record: { state } }) =>
    state === "waiting" || state === "started"
  );
  return page(title, [
    markup`<header><h1>${title}</h1><p class="faint">${
      tables.length > 1
        ? `${runs.length} runs, measured by ${tables.length} protocols. Numbers of different protocols are not comparable, so each protocol has its own part below.`
        : `${runs.length} runs.`
    }</p></header>`,
    section("Settings", "The settings in which the runs differ.", drawSettings(runs)),
    ...tables.map((table) =>
      markup`<article>${drawTable(table, SHOWN, (run) => traces.get(run)!)}</article>`
    ),
    section(
      "Measured by evaluate",
      "Numbers in the same row have the same protocol and can be compared.",
      drawEvaluated(runs),
    ),
    section(
      "Not finished",
      "These runs have no test numbers yet.",
      joinHtml(unfinished.map(({ name }) => markup`<p>${name}</p>`)),
    ),
    section(
      "Damaged",
      "These files cannot be read, so their contents are not shown.",
      drawReasons(damagesOf(records, (run) => traces.get(run)!)),
    ),
  ], { style: STUDY_STYLE, script: tables.length === 0 ? undefined : COMPARISON_SCRIPT });
}

function drawSettings(runs: readonly ComparedRun[]): Html {
  const settings = differingSettings(runs.map(({ config }) => config));
  return drawRows(runs, ["setting"], settings.map(({ path, values }) => [path, ...values]));
}

/** One row per number and protocol: values of another protocol are in another row. */
function drawEvaluated(runs: readonly ComparedRun[]): Html {
  const numbers = Map.groupBy(
    runs.flatMap((run) => run.evaluated.map((number) => ({ run, ...number }))),
    ({ name, protocol }) => `${name} ${protocol}`,
  );
  return drawRows(
    runs,
    ["number", "protocol"],
    [...numbers.values()].map((found) => {
      const [{ name, better, protocol }] = found;
      const values = runs.map((run) => {
        const own = found.find((number) => number.run === run);
        return own === undefined ? "–" : own.value.toFixed(own.decimals);
      });
      return [`${name}, ${better} is better`, markup`<code>${protocol}</code>`, ...values];
    }),
  );
}

/** A table with one column per run, after the columns with the given titles; empty without rows. */
function drawRows(
  runs: readonly ComparedRun[],
  titles: readonly string[],
  rows: readonly (readonly HtmlValue[])[],
): Html {
  if (rows.length === 0) return markup``;
  const head = [...titles, ...runs.map(({ name }) => name)];
  const body = rows.map((row) =>
    markup`<tr>${
      row.map((cell, at) =>
        markup`<td${at < titles.length ? "" : markup` class="value"`}>${cell}</td>`
      )
    }</tr>`
  );
  return markup`<div class="wide"><table><thead><tr>${
    head.map((title) => markup`<th>${title}</th>`)
  }</tr></thead><tbody>${joinHtml(body)}</tbody></table></div>`;
}
