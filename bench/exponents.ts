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

/** The exponents of all sizes that rows vary, and of the number of threads where rows differ only in it. */
export function exponentsOf(rows: readonly BenchRow[]): readonly Exponent[] {
  const varied = rows.flatMap((row) =>
    row.varied === undefined ? [] : [{ ms: row.ms, ...row.varied, threads: row.threads }]
  );
  const sizes = grouped(varied, ({ of, size, threads }) => [of, size, threads].join());
  const threads = rows.flatMap(({ bench, shape, ms, threads }) =>
    threads === undefined
      ? []
      : [{ ms, of: `${bench}, ${shape}`, size: "threads", value: threads, expected: -1 }]
  );
  return [...sizes, ...grouped(threads, ({ of }) => of)].filter((points) => points.length > 1).map(
    fitted,
  );
}

type Point = Varied & Pick<BenchRow, "ms" | "threads">;

function fitted(points: readonly Point[]): Exponent {
  const sorted = points.toSorted((a, b) => a.value - b.value),
    [{ of, size, expected, threads }] = sorted;
  const logs = sorted.map(({ value, ms }) => [Math.log(value), Math.log(ms)] as const);
  return {
    of: threads === undefined ? of : `${of}, threads: ${threads}`,
    ...{ size, expected },
    values: sorted.map(({ value }) => value),
    exponent: slope(logs),
    last: slope(logs.slice(-2)),
  };
}

/** The slope of the line of least squares. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return covariance / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
}

function grouped<Item>(items: readonly Item[], keyOf: (item: Item) => string): readonly Item[][] {
  return [...Map.groupBy(items, keyOf).values()];
}
