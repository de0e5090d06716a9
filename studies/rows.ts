/** What the runs of a combination come to, over their seeds. */
import { printable } from "../training/printable.ts";
import { type Measure, MEASURE_TITLES } from "./measures.ts";
import { showPoint } from "./plan.ts";
import type { StudyRun } from "./records.ts";

/** The finished runs of a combination of the axes' points, measured by one protocol. */
export interface StudyRow {
  /** The combination. */
  readonly point: StudyRun["point"];
  /** The combination in words. */
  readonly name: string;
  /** The same as short as it stays clear beside the others: of one axis the value alone. */
  readonly label: string;
  /** Its runs, one a seed. */
  readonly runs: readonly StudyRun[];
}

/** Rows that compare. */
export interface StudyTable {
  /** The hash of the protocol. */
  readonly protocol: string;
  /** What computed the runs. */
  readonly devices: readonly string[];
  /** A row a combination. */
  readonly rows: readonly StudyRow[];
}

/** The finished runs, in a table a protocol, since numbers of different protocols do not compare. */
export function tablesOf(runs: readonly StudyRun[]): readonly StudyTable[] {
  const finished = runs.filter(({ state }) => state === "finished");
  return [...Map.groupBy(finished, ({ protocol }) => protocol ?? "")].map(
    ([protocol, measured]) => {
      const groups = Map.groupBy(measured, ({ point }) => JSON.stringify(point));
      return {
        protocol,
        devices: [...new Set(measured.map(({ device }) => device ?? ""))],
        rows: [...groups.values()].map((runs) => {
          const [{ point }] = runs;
          return { point, name: showPoint(point), label: showLabel(point), runs };
        }),
      };
    },
  );
}

function showLabel(point: StudyRun["point"]): string {
  const entries = Object.entries(point);
  if (entries.length === 1) return printable(String(entries[0][1]));
  return printable(
    entries.map(([axis, value]) => `${axis.split(".").at(-1)} ${value}`).join(", "),
  );
}

/** A mean, and how far from it numbers lie. */
export interface Spread {
  /** The mean. */
  readonly mean: number;
  /** The sample standard deviation; none of one number, and where one is infinite. */
  readonly deviation: number | null;
}

/** A measure over the runs of a row, in its unit; none where no run has it. */
export function spreadOf({ runs }: StudyRow, measure: Measure): Spread | null {
  const { factor } = MEASURE_TITLES[measure];
  const values = runs.flatMap(({ measured }) => measured?.[measure] ?? [])
    .map((value) => value * factor);
  return values.length === 0 ? null : meanAndDeviation(values);
}

/** The spread of numbers, at least one. */
export function meanAndDeviation(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  if (values.length === 1 || !Number.isFinite(mean)) return { mean, deviation: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/** A measure over the runs of a row, as people read it. */
export function showSpread(row: StudyRow, measure: Measure): string {
  const spread = spreadOf(row, measure);
  if (spread === null) return "–";
  const { decimals } = MEASURE_TITLES[measure];
  const { mean, deviation } = spread;
  const shown = mean.toFixed(decimals);
  return deviation === null ? shown : `${shown} ± ${deviation.toFixed(decimals)}`;
}
