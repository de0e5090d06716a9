/** How the time of a benchmark grows with a size: the exponent p of time ∝ sizeᵖ. */
import type { BenchRow, Varied } from "./row.ts";

/** A fitted exponent. */
export interface Exponent extends Pick<Varied, "of" | "size" | "expected"> {
  /** The exponent, by least squares over the logarithms. */
  readonly exponent: number;
  /** The sizes that were measured, in ascending order. */
  readonly values: readonly number[];
  /** The exponent between the two largest sizes, where fixed costs matter least. */
  readonly last: number;
}

/** The exponents of all sizes that rows vary, and that of the number of threads, over all rows that differ only in it. */
export function exponentsOf(rows: readonly BenchRow[]): readonly Exponent[] {
  const sizes = rows.flatMap(({ ms, varied, threads }): readonly Point[] => {
    if (varied === undefined) return [];
    const of = threads === undefined ? varied.of : `${varied.of}, threads: ${threads}`;
    return [{ ...varied, of, series: of, ms }];
  });
  const threads = rows.flatMap(({ bench, shape, ms, threads }): readonly Point[] =>
    threads === undefined
      ? []
      : [{ of: bench, size: "threads", value: threads, expected: -1, series: shape, ms }]
  );
  return [...Map.groupBy([...sizes, ...threads], ({ of, size }) => `${of}, ${size}`).values()]
    .flatMap(fitted);
}

/** A time at a value of a size. Points of a series share the factor before the power. */
type Point = Varied & Pick<BenchRow, "ms"> & { readonly series: string };

function fitted(points: readonly Point[]): readonly Exponent[] {
  const values = [...new Set(points.map(({ value }) => value))].sort((a, b) => a - b);
  if (values.length < 2) return [];
  const [{ of, size, expected }] = points;
  const largest = points.filter(({ value }) => value >= values[values.length - 2]);
  return [{ of, size, expected, values, exponent: slope(points), last: slope(largest) }];
}

/** The slope of the logarithms that all series have in common, by least squares. */
function slope(points: readonly Point[]): number {
  const pairs = [...Map.groupBy(points, ({ series }) => series).values()].flatMap((series) => {
    const logs = series.map(({ value, ms }) => [Math.log(value), Math.log(ms)] as const);
    const mean = (axis: 0 | 1) => logs.reduce((sum, log) => sum + log[axis], 0) / logs.length;
    const [x, y] = [mean(0), mean(1)];
    return logs.map((log) => [log[0] - x, log[1] - y] as const);
  });
  const sum = (term: (x: number, y: number) => number) =>
    pairs.reduce((total, [x, y]) => total + term(x, y), 0);
  return sum((x, y) => x * y) / sum((x) => x * x);
}
