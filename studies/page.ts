/** A study as one page that needs no other file. */
import { type Html, joinHtml, markup } from "../reports/html.ts";
import { page, section } from "../reports/page.ts";
import { drawProtocols } from "../reports/protocols.ts";
import { drawBlobs } from "./blobs.ts";
import { COMPARISON_SCRIPT, drawComparison } from "./comparison.ts";
import { type Damage, damagesOf } from "./damage.ts";
import { ABOUT_BOLD, ABOUT_DIFFERENCES } from "./differences.ts";
import { drawHistograms, drawReconstructions } from "./galleries.ts";
import { DEFAULT_MEASURES, type Measure } from "./measures.ts";
import { drawDifferences, drawNumbers } from "./numbers.ts";
import { STUDY_STYLE } from "./page_style.ts";
import { showRun } from "./plan.ts";
import type { StudyRun } from "./records.ts";
import { type StudyTable, tablesOf } from "./rows.ts";
import type { Study } from "./study.ts";
import type { RunTrace } from "./traces.ts";

/** Draws a study. For every protocol: the plots of quality against usage, the table and the paired differences, the curves
 * of all runs, which can be chosen, images beside their reconstructions, and the histograms of the codes. The same runs
 * give the same bytes.
 *
 * ```ts
 * import { drawStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [32, 64] }] };
 * assert.match(drawStudy(study, [], () => assert.fail("no run is finished")), /<h1>sizes<\/h1>/);
 * ```
 * @param traceOf what a finished run left
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
      "These files cannot be read, and what they hold is not shown.",
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

/** Why runs have no result, or not all of it. */
function drawReasons(reasons: readonly Damage[]): Html {
  return joinHtml(
    reasons.map(({ run, reason }) => markup`<p>${showRun(run)}: <code>${reason}</code></p>`),
  );
}

/** How large the study is. */
function drawCounts(runs: readonly StudyRun[]): Html {
  const finished = runs.filter(({ state }) => state === "finished");
  const different = (of: (run: StudyRun) => unknown) => new Set(runs.map(of)).size;
  const steps = [...new Set(finished.map(({ steps }) => steps))];
  const counts: readonly (readonly [string, string])[] = [
    ["runs finished", `${finished.length} of ${runs.length}`],
    ["combinations", `${different(({ point }) => JSON.stringify(point))}`],
    ["seeds", `${different(({ seed }) => seed)}`],
    ...steps.length === 1 ? [["steps a run", `${steps[0]}`] as const] : [],
  ];
  return markup`<dl class="numbers">${
    counts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
  }</dl>`;
}

/** Everything that was measured by one protocol. */
function drawTable(
  { protocol, devices, rows }: StudyTable,
  measures: readonly Measure[],
  traceOf: (run: StudyRun) => RunTrace,
): Html {
  const [{ runs: [first] }] = rows;
  return joinHtml([
    section(
      "Quality against usage",
      "The mean over the seeds, with bars of a standard deviation. Where an axis has numbers, a blob's size is that " +
        "number; lines join combinations that differ in nothing else.",
      drawBlobs(rows),
    ),
    section(
      "Numbers",
      `Mean ± standard deviation over the seeds, on ${devices.join("; ")}. ${ABOUT_BOLD}`,
      markup`${drawNumbers(rows, measures)}${
        drawProtocols({ [protocol]: traceOf(first).protocol })
      }`,
    ),
    section("Differences to the best", ABOUT_DIFFERENCES, drawDifferences(rows, measures)),
    section(
      "Training",
      "Over the steps, a line a run. What is chosen here is drawn over its own range. A method without a quantiser loss " +
        "has no line there.",
      drawComparison(rows, (run) => traceOf(run).records),
    ),
    section(
      "Reconstructions",
      "The same test images through the first run of every combination.",
      drawReconstructions(rows, ({ runs: [run] }) => traceOf(run)),
    ),
    section(
      "Codes",
      "How often each code was chosen over the test images, in the first run of every combination, from the most to the " +
        "least; the dotted line is where all would be, if they were chosen equally often.",
      drawHistograms(rows, ({ runs: [run] }) => traceOf(run)),
    ),
  ]);
}
