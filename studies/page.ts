/** A study as one self-contained page. */
import { type Html, joinHtml, markup } from "../reports/html.ts";
import { page, section } from "../reports/page.ts";
import { COMPARISON_SCRIPT } from "./comparison.ts";
import { damagesOf } from "./damage.ts";
import { DEFAULT_MEASURES } from "./measures.ts";
import { STUDY_STYLE } from "./page_style.ts";
import { showRun } from "./plan.ts";
import type { StudyRun } from "./records.ts";
import { tablesOf } from "./rows.ts";
import type { Study } from "./study.ts";
import { drawReasons, drawTable } from "./table_page.ts";
import type { RunTrace } from "./traces.ts";

/** Draws a study. For every protocol, it shows plots of error over usage, the table and the paired differences, the
 * curves of all runs with selection, images with their reconstructions, and the histograms of the codes. The same runs
 * give the same bytes.
 *
 * ```ts
 * import { drawStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [32, 64] }] };
 * assert.match(drawStudy(study, [], () => assert.fail("no run is finished")), /<h1>sizes<\/h1>/);
 * ```
 * @param traceOf gives the trace of a finished run
 */
export function drawStudy(
  { name, about = "", measure = DEFAULT_MEASURES }: Study,
  runs: readonly StudyRun[],
  traceOf: (run: StudyRun) => RunTrace,
): string {
  const tables = tablesOf(runs);
  const failures = runs.filter(({ state }) => state === "failed")
    .map((run) => ({ run, reason: run.failure ?? "" }));
  const left = runs.filter(({ state }) => state === "waiting" || state === "started");
  return page(name, [
    markup`<header><h1>${name}</h1><p class="faint">${about}</p>${drawCounts(runs)}</header>`,
    ...tables.map((table) => markup`<article>${drawTable(table, measure, traceOf)}</article>`),
    section("Failed", "These runs ended with an error.", drawReasons(failures)),
    section(
      "Damaged",
      "These files cannot be read, so their contents are not shown.",
      drawReasons(damagesOf(runs, traceOf)),
    ),
    section(
      "Left to run",
      `${left.length} of ${runs.length} runs.`,
      left.length === 0
        ? markup``
        : markup`<div class="runs">${
          joinHtml(left.map((run) => markup`<p>${showRun(run)}</p>`))
        }</div>`,
    ),
  ], { style: STUDY_STYLE, script: tables.length === 0 ? undefined : COMPARISON_SCRIPT });
}

/** The size of the study. */
function drawCounts(runs: readonly StudyRun[]): Html {
  const finished = runs.filter(({ state }) => state === "finished");
  const different = (of: (run: StudyRun) => unknown) => new Set(runs.map(of)).size;
  const steps = [...new Set(finished.map(({ steps }) => steps))];
  const counts: readonly (readonly [string, string])[] = [
    ["runs finished", `${finished.length} of ${runs.length}`],
    ["combinations", `${different(({ point }) => JSON.stringify(point))}`],
    ["seeds", `${different(({ seed }) => seed)}`],
    ...steps.length === 1 ? [["steps per run", `${steps[0]}`] as const] : [],
  ];
  return markup`<dl class="numbers">${
    counts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
  }</dl>`;
}
