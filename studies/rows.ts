/** Aggregates the runs of a combination over their seeds. */
import { printable } from "../training/printable.ts";
import { type Measure, MEASURE_TITLES } from "./measures.ts";
import { showPoint } from "./plan.ts";
import type { StudyRun } from "./records.ts";

/** The finished runs of a combination of the axes' points, measured with one protocol. */
export interface StudyRow {
  /** The combination. */
  readonly point: StudyRun["point"];
  /** A readable name of the combination. */
  readonly name: string;
  /** A shorter name that is still unique in the table: with one axis only the value. */
  readonly label: string;
  /** Its runs, one per seed. */
  readonly runs: readonly StudyRun[];
}

/** Comparable rows. */
export interface StudyTable {
  /** The hash of the protocol. */
  readonly protocol: string;
  /** The devices that computed the runs. */
  readonly devices: readonly string[];
  /** One row per combination. */
  readonly rows: readonly StudyRow[];
}

/** The finished runs, in one table per protocol, because numbers of different protocols are not comparable. */
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

/** A mean and a standard deviation. */
export interface Spread {
  /** The mean. */
  readonly mean: number;
  /** The sample standard deviation; null for one number, or if a number is infinite. */
  readonly deviation: number | null;
}

/** The mean and deviation of a measure over the runs of a row, in its unit; null if no run has it. */
export function spreadOf({ runs }: StudyRow, measure: Measure): Spread | null {
  const { factor } = MEASURE_TITLES[measure];
  const values = runs.flatMap(({ measured }) => measured?.[measure] ?? [])
    .map((value) => value * factor);
  return values.length === 0 ? null : meanAndDeviation(values);
}

/** The mean and deviation of at least one number. */
export function meanAndDeviation(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  if (values.length === 1 || !Number.isFinite(mean)) return { mean, deviation: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/** Formats a measure over the runs of a row. */
export function showSpread(row: StudyRow, measure: Measure): string {
  const spread = spreadOf(row, measure);
  if (spread === null) return "–";
  const { decimals } = MEASURE_TITLES[measure];
  const { mean, deviation } = spread;
  const shown = mean.toFixed(decimals);
  return deviation === null ? shown : `${shown} ± ${deviation.toFixed(decimals)}`;
}
