/** A study's records as JSON lines, CSV and Markdown. */
import {
  ABOUT_BOLD,
  ABOUT_DIFFERENCES,
  bestRow,
  clearWinner,
  comparedMeasures,
  showDifference,
} from "./differences.ts";
import { greatestOf } from "../core/extremes.ts";
import { jsonNumbers } from "../files/json_number.ts";
import { printable } from "../training/printable.ts";
import { DEFAULT_MEASURES, type Measure, MEASURE_TITLES, MEASURES } from "./measures.ts";
import { showRun } from "./plan.ts";
import type { StudyRun } from "./records.ts";
import { showSpread, type StudyRow, tablesOf } from "./rows.ts";
import type { Study } from "./study.ts";

/** One record per line, as JSON. */
export function showJsonLines(records: readonly StudyRun[]): string {
  return records.map((record) => `${JSON.stringify(record, jsonNumbers)}\n`).join("");
}

/** One record per line, as CSV (RFC 4180) with a header line. Only measures that some run has are included. */
export function showCsv(records: readonly StudyRun[]): string {
  const axes = Object.keys(records[0]?.point ?? {});
  const measures = MEASURES.filter((measure) =>
    records.some(({ measured }) => measured?.[measure] !== undefined)
  );
  const names = [...axes, "seed", "state", ...measures, "steps", "device", "protocol", "run"];
  const rows = records.map(({ point, seed, state, measured, steps, device, protocol, hash }) => [
    ...axes.map((axis) => point[axis]),
    seed,
    state,
    ...measures.map((measure) => measured?.[measure]),
    ...[steps, device, protocol, hash],
  ]);
  return [names, ...rows].map((row) => `${row.map(showCell).join(",")}\r\n`).join("");
}

/** One table per protocol, because numbers of different protocols are not comparable: mean and standard deviation over
 * the seeds of the finished runs of each combination, and the paired differences to the best. Then it lists failed and
 * remaining runs.
 *
 * ```ts
 * import { showMarkdown } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const axes = [{ path: "quantizer.codebookSize", values: [32] }];
 * const common = { point: { "quantizer.codebookSize": 32 }, hash: "0", folder: "0", state: "finished" } as const;
 * const whole = { ...common, failure: null, steps: 9, device: "cpu", protocol: "1f" };
 * const records = [0.5, 0.7].map((usage, seed) => {
 *   return { ...whole, seed, measured: { usage, perplexity: 2, mse: 1, psnr: 6, sharpness: null, secondsPerStep: 0.1 } };
 * });
 * const text = showMarkdown({ name: "sizes", axes, measure: ["usage"] }, records);
 * assert.match(text, /\| 32 +\| 60\.0 ± 14\.1 +\| 2 +\|/);
 * ```
 */
export function showMarkdown(study: Study, records: readonly StudyRun[]): string {
  const { name, about, measure = DEFAULT_MEASURES } = study;
  const unread = records.filter(({ state }) => state === "failed" || state === "damaged");
  const left = records.filter(({ state }) => state === "waiting" || state === "started").length;
  const tables = tablesOf(records).map(({ protocol, devices, rows }) =>
    [
      showTable(rows, measure),
      `Protocol ${showText(protocol)}, on ${showText(devices.join("; "))}.`,
      `Mean ± standard deviation over the seeds. ${ABOUT_BOLD}`,
      showDifferences(rows, measure),
    ].filter((part) => part !== "").join("\n\n")
  );
  const parts = [
    `# ${name}`,
    showText(about ?? ""),
    ...tables,
    ...unread.map((run) => {
      const kind = run.state === "failed" ? "Failed" : "Damaged";
      return `${kind}: ${showText(`${showRun(run)} (${run.hash}): ${run.failure}`)}`;
    }),
    left === 0 ? "" : `Left to run: ${left} of ${records.length}.`,
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function showTable(rows: readonly StudyRow[], measures: readonly Measure[]): string {
  const winners = new Map(measures.map((measure) => [measure, clearWinner(rows, measure)]));
  return alignCells([
    [...axesOf(rows), ...measures.map((measure) => MEASURE_TITLES[measure].title), "seeds"],
    ...rows.map((row) => [
      ...valuesOf(row),
      ...measures.map((measure) => {
        const shown = showSpread(row, measure);
        return winners.get(measure) === row ? `**${shown}**` : shown;
      }),
      `${row.runs.length}`,
    ]),
  ]);
}

/** How every row differs from the best; empty if the seeds do not allow a test. */
function showDifferences(rows: readonly StudyRow[], measures: readonly Measure[]): string {
  const compared = comparedMeasures(rows, measures);
  if (compared.length === 0) return "";
  const table = alignCells([
    [...axesOf(rows), ...compared.map((measure) => MEASURE_TITLES[measure].title)],
    ...rows.map((row) => [
      ...valuesOf(row),
      ...compared.map((measure) => showDifference(row, bestRow(rows, measure)!, measure)),
    ]),
  ]);
  return `${ABOUT_DIFFERENCES}\n\n${table}`;
}

function axesOf([{ point }]: readonly StudyRow[]): readonly string[] {
  return Object.keys(point).map(showText);
}

function valuesOf({ point }: StudyRow): readonly string[] {
  return Object.values(point).map((value) => showText(String(value)));
}

/** Escapes text for a line or a cell of Markdown: it cannot end the line, start another cell, or contain HTML. */
function showText(text: string): string {
  return printable(text.replace(/\s+/g, " ")).replace(/[\\|<]/g, "\\$&");
}

/** Formats lines of cells as a table; the first line is the head. */
function alignCells(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, column) => greatestOf(lines.map((line) => line[column].length)));
  const [head, ...body] = lines.map((line) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`
  );
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [head, rule, ...body].join("\n");
}

/** What spreadsheets interpret as the start of a formula, unless it is a number. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/, NUMBER = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** Formats a CSV value. An apostrophe prevents text from being interpreted as a formula. */
function showCell(value: unknown): string {
  const given = value === undefined || value === null ? "" : String(value);
  const text = FORMULA.test(given) && !NUMBER.test(given) ? `'${given}` : given;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
