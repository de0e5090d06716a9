/** A study as one page that needs no other file. */
import { drawLineChart, type Series } from "../report/line_chart.ts";
import type { RunRecord } from "../report/curves.ts";
import { escapeHtml, page, section } from "../report/page.ts";
import { drawBlobs } from "./blobs.ts";
import { DEFAULT_MEASURES, type Measure, MEASURE_TITLES } from "./measures.ts";
import { showRun } from "./plan.ts";
import type { StudyRun } from "./records.ts";
import { showSpread, type StudyRow, type StudyTable, tablesOf } from "./rows.ts";
import type { Study } from "./study.ts";

/** Draws a study: the plot of quality against usage and the table of every protocol, then the curves of every combination,
 * a line a seed. The same runs give the same bytes.
 *
 * ```ts
 * import { drawStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [32, 64] }] };
 * assert.match(drawStudy(study, [], () => []), /<h1>sizes<\/h1>/);
 * ```
 * @param recordsOf what a run recorded as it trained
 */
export function drawStudy(
  { name, about = "", measure = DEFAULT_MEASURES }: Study,
  runs: readonly StudyRun[],
  recordsOf: (run: StudyRun) => readonly RunRecord[],
): string {
  const tables = tablesOf(runs);
  const failed = runs.filter(({ state }) => state === "failed");
  const left = runs.filter(({ state }) => state === "waiting" || state === "started");
  return page(name, [
    `<header><h1>${escapeHtml(name)}</h1><p class="faint">${escapeHtml(about)}</p></header>`,
    ...tables.flatMap((table) => [
      section(
        "Quality against usage",
        "Test mse, lower is better, over the share of the codes that are used; the mean over the seeds, with bars of a " +
          "standard deviation. Where an axis has numbers, a blob's size is that number.",
        drawBlobs(table.rows),
      ),
      section("Numbers", aboutTable(table), drawTable(table.rows, measure)),
    ]),
    section(
      "Training",
      "Over the steps, a line a seed.",
      tables.flatMap(({ rows }) => rows).map((row) => drawRow(row, recordsOf)).join("\n"),
    ),
    section(
      "Failed",
      "These runs ended with an error.",
      failed.map((run) =>
        `<p>${escapeHtml(showRun(run))}: <code>${escapeHtml(run.failure ?? "")}</code></p>`
      ).join("\n"),
    ),
    section(
      "Left to run",
      `${left.length} of ${runs.length} runs.`,
      left.map((run) => `<p>${escapeHtml(showRun(run))}</p>`).join("\n"),
    ),
  ]);
}

function aboutTable({ protocol, devices }: StudyTable): string {
  return `Mean ± standard deviation over the seeds, by protocol <code>${
    escapeHtml(protocol)
  }</code>, on ${
    escapeHtml(devices.join("; "))
  }. Seconds a step depend on the machine and on what else it was doing.`;
}

function drawTable(rows: readonly StudyRow[], measures: readonly Measure[]): string {
  const axes = Object.keys(rows[0].point);
  const titles = [...axes, ...measures.map((measure) => MEASURE_TITLES[measure].title), "seeds"];
  const head = titles.map((title) => `<th>${escapeHtml(title)}</th>`).join("");
  const body = rows.map((row) => {
    const point = axes.map((axis) => `<td>${escapeHtml(String(row.point[axis]))}</td>`);
    const numbers = [...measures.map((measure) => showSpread(row, measure)), `${row.runs.length}`]
      .map((shown) => `<td class="value">${shown}</td>`);
    return `<tr>${[...point, ...numbers].join("")}</tr>`;
  });
  return `<table><thead><tr>${head}</tr></thead>\n<tbody>${body.join("\n")}</tbody></table>`;
}

/** The curves of a combination, folded until asked for. */
function drawRow(row: StudyRow, recordsOf: (run: StudyRun) => readonly RunRecord[]): string {
  const lines = (kind: string, valueOf: (record: RunRecord) => unknown): Series[] =>
    row.runs.map((run, index) => ({
      name: `seed ${run.seed}`,
      points: recordsOf(run).filter((record) => record.kind === kind).flatMap((record) => {
        const value = valueOf(record);
        return typeof value === "number" ? [[record.step, value] as const] : [];
      }),
      colour: ([1, 2, 3] as const)[index % 3],
    }));
  const entry = (record: RunRecord, section: string, name: string) =>
    (record[section] as Readonly<Record<string, unknown>> | undefined)?.[name];
  const charts = [
    { title: "Loss", series: lines("step", (record) => record.loss), logarithmic: true },
    {
      title: "Test mse",
      series: lines("epoch", (record) => entry(record, "test", "mse")),
      logarithmic: true,
    },
    {
      title: "Codes in use, this epoch so far",
      series: lines("step", (record) => entry(record, "codebook", "codesInUse")),
    },
    {
      title: "Perplexity of the test images",
      series: lines("epoch", (record) => entry(record, "test", "perplexity")),
    },
  ];
  return `<details><summary>${escapeHtml(row.name)}</summary><div class="charts">${
    charts.map(drawLineChart).join("\n")
  }</div></details>`;
}
