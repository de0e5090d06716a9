/** Scales of charts: the positions of values, and the ticks. */

/** Maps values to pixels. */
export interface Scale {
  /** The pixel of a value. */
  at(value: number): number;
  /** The values with ticks, ascending. */
  readonly ticks: readonly number[];
}

/** A linear scale over [low, high], widened to whole ticks, from one pixel to another. */
export function linearScale(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  count = 4,
): Scale {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const step = niceStep(span / count);
  const first = Math.floor(low / step), last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
  const [start, end] = [ticks[0], ticks[ticks.length - 1]];
  return { at: (value) => from + (value - start) / (end - start) * (to - from), ticks };
}

/** A logarithmic scale over [low, high], widened to ticks. Ticks are powers of ten: only some of them if there are
 * many, and with 2 and 5 between them if there are few. If a logarithm would not be finite, the scale is linear. */
export function logScale(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
): Scale {
  if (!(low > 0 && high < Infinity)) return linearScale([low, high], [from, to]);
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const apart = Math.max(1, Math.ceil(decades / 8));
  const first = Math.floor(Math.log10(low)) - 1, last = Math.ceil(Math.log10(high));
  const marks: number[] = [];
  for (let power = first; power < last + apart; power += apart) {
    for (const factor of factors) marks.push(factor * 10 ** power);
  }
  const start = marks.findLast((mark) => mark <= low * (1 + 1e-9)) ?? low;
  const end = marks.find((mark) => mark >= high * (1 - 1e-9) && mark > start) ?? high;
  return {
    at: (value) => from + Math.log(value / start) / Math.log(end / start) * (to - from),
    ticks: marks.filter((mark) => mark >= start && mark <= end),
  };
}

/** 1, 2 or 5 times a power of ten, at least as large. */
export function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9))!;
}

/** Formats the value of a tick. */
export function showTick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e7) return value.toExponential(0);
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}
