/** The parts of a page that show runs: those measured with one protocol, and those without a result. */
import { type Html, joinHtml, markup } from "../reports/html.ts";
import { section } from "../reports/page.ts";
import { drawProtocols } from "../reports/protocols.ts";
import { drawBlobs } from "./blobs.ts";
import { drawComparison } from "./comparison.ts";
import type { Damage } from "./damage.ts";
import { ABOUT_BOLD, ABOUT_DIFFERENCES } from "./differences.ts";
import { drawHistograms, drawReconstructions } from "./galleries.ts";
import type { Measure } from "./measures.ts";
import { drawDifferences, drawNumbers } from "./numbers.ts";
import { showRun } from "./plan.ts";
import type { StudyRun } from "./records.ts";
import type { StudyTable } from "./rows.ts";
import type { RunTrace } from "./traces.ts";

/** Why runs have no result, or an incomplete one. */
export function drawReasons(reasons: readonly Damage[]): Html {
  return joinHtml(
    reasons.map(({ run, reason }) => markup`<p>${showRun(run)}: <code>${reason}</code></p>`),
  );
}

/** Everything that was measured with one protocol. */
export function drawTable(
  { protocol, devices, rows }: StudyTable,
  measures: readonly Measure[],
  traceOf: (run: StudyRun) => RunTrace,
): Html {
  const [{ runs: [first] }] = rows;
  return joinHtml([
    section(
      "Quality against usage",
      "Means over the seeds, with error bars of one standard deviation. If an axis has numbers, they determine the sizes " +
        "of the blobs; lines join combinations that differ only in this axis.",
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
      "Over the steps, one line per run. The charts show the selected runs, over their own range. The line of a run that " +
        "diverges leaves this range along the chart's edge. A method without a quantiser loss has no line in that chart.",
      drawComparison(rows, (run) => traceOf(run).records),
    ),
    section(
      "Reconstructions",
      "The same test images, reconstructed by the first run of every combination.",
      drawReconstructions(rows, ({ runs: [run] }) => traceOf(run)),
    ),
    section(
      "Codes",
      "How often each code was chosen over the test images, in the first run of every combination, in descending " +
        "order. The dotted line marks equal use of all codes.",
      drawHistograms(rows, ({ runs: [run] }) => traceOf(run)),
    ),
  ]);
}
