/** Tests which combinations are better than others, given the variation over seeds. */
import { type Measure, MEASURE_TITLES } from "./measures.ts";
import { meanAndDeviation, type Spread, spreadOf, type StudyRow } from "./rows.ts";

/** The difference of two combinations in a measure, in its unit: mean and deviation of the differences, with one pair
 * per seed that both have. */
export interface PairedDifference extends Spread {
  /** The number of pairs. */
  readonly pairs: number;
  /** Whether the 95 % interval of the mean excludes 0; never with one pair. */
  readonly isClear: boolean;
}

/** The two-sided 95 % quantiles of Student's distribution, from 1 degree of freedom on. */
const QUANTILES = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228],
  ...[2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086],
];

/** The difference of one row to another, seed by seed. Runs with the same seed start from the same random numbers and
 * see the same images in the same order, so their common variation cancels. The difference is clear if its 95 %
 * interval excludes 0: t · deviation / √pairs on both sides of the mean, with t of Student's distribution (above 21
 * pairs that of 21, which is wider).
 * @returns null if no seed has both
 */
export function pairedDifference(
  row: StudyRow,
  other: StudyRow,
  measure: Measure,
): PairedDifference | null {
  const { factor } = MEASURE_TITLES[measure];
  const differences = row.runs.flatMap(({ seed, measured }) => {
    const value = measured?.[measure];
    const rival = other.runs.find((run) => run.seed === seed)?.measured?.[measure];
    const difference = typeof value === "number" && typeof rival === "number"
      ? (value - rival) * factor
      : NaN;
    return Number.isFinite(difference) ? [difference] : []; // Infinite ratios have none.
  });
  const pairs = differences.length;
  if (pairs === 0) return null;
  const { mean, deviation } = meanAndDeviation(differences);
  const quantile = QUANTILES[Math.min(pairs - 1, QUANTILES.length) - 1];
  const isClear = deviation !== null &&
    Math.abs(mean) > quantile * deviation / Math.sqrt(pairs);
  return { mean, deviation, pairs, isClear };
}

/** The row with the best mean; null if nothing was measured, or if neither direction of the measure is better. */
export function bestRow(rows: readonly StudyRow[], measure: Measure): StudyRow | null {
  const { better } = MEASURE_TITLES[measure];
  if (better === null) return null;
  const sign = better === "higher" ? 1 : -1;
  const ranked = rows.flatMap((row) => {
    const spread = spreadOf(row, measure);
    return spread === null ? [] : [{ row, rank: sign * spread.mean }];
  }).sort((a, b) => a.rank === b.rank ? 0 : b.rank - a.rank);
  return ranked.length === 0 ? null : ranked[0].row;
}

/** The row that is marked as the best: the one with the best mean, if its difference to every other row is clear and in
 * its favour. So there is none if two rows tie, if the variation over the seeds hides a difference, or with one
 * seed. */
export function clearWinner(rows: readonly StudyRow[], measure: Measure): StudyRow | null {
  const best = bestRow(rows, measure);
  if (best === null || rows.length < 2) return null;
  const sign = MEASURE_TITLES[measure].better === "higher" ? 1 : -1;
  const beats = (other: StudyRow) => {
    const difference = pairedDifference(best, other, measure);
    return difference !== null && difference.isClear && sign * difference.mean > 0;
  };
  return rows.every((row) => row === best || beats(row)) ? best : null;
}

/** Formats the difference of a row to another; a star marks a clear difference. */
export function showDifference(
  row: StudyRow,
  other: StudyRow,
  measure: Measure,
): string {
  if (row === other) return "best";
  const difference = pairedDifference(row, other, measure);
  if (difference === null) return "–";
  const { decimals } = MEASURE_TITLES[measure];
  const { mean, deviation, isClear } = difference;
  const sign = mean < 0 ? "−" : "+";
  const shown = `${sign}${Math.abs(mean).toFixed(decimals)}`;
  if (deviation === null) return shown;
  return `${shown} ± ${deviation.toFixed(decimals)}${isClear ? " *" : ""}`;
}

/** The measures for which differences to the best row can be tested: those where two rows share at least two seeds. */
export function comparedMeasures(
  rows: readonly StudyRow[],
  measures: readonly Measure[],
): readonly Measure[] {
  return measures.filter((measure) => {
    const best = bestRow(rows, measure);
    return best !== null &&
      rows.some((row) => row !== best && (pairedDifference(row, best, measure)?.pairs ?? 0) > 1);
  });
}

/** A table's explanation of its bold numbers. */
export const ABOUT_BOLD: string =
  "The best value of a column is bold if it is clearly the best: if the 95 % interval (Student's) of its paired differences " +
  "to every other row, seed by seed, excludes 0. So with one seed nothing is bold. Seconds are never bold, as they depend on the " +
  "machine and its load.";

/** A table of differences' explanation. */
export const ABOUT_DIFFERENCES: string =
  "Each row minus the row with the best mean of the column, seed by seed: mean ± standard deviation of the differences over the " +
  "seeds that both have. A star marks a difference whose own 95 % interval excludes 0; among many, some do so by chance.";
