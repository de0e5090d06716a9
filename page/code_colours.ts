/** Gives each code a colour. Similar codes get similar colours. */

/** The vectors of a codebook, read back from the device. */
export interface Codes {
  /** `[K, D]`, row-major. */
  readonly values: Float32Array;
  /** K. */
  readonly size: number;
  /** D. */
  readonly width: number;
}

/** A background colour and a text colour that is legible on it. */
export interface CodeColour {
  readonly ground: string;
  readonly text: string;
}

/** Chooses colours by the first three principal components of the codebook. The first two give hue and saturation: their
 * direction and distance from the codes of a blank image, which are therefore greyish. The third gives the lightness.
 * @param blank the codes of a blank image
 */
export function codeColours(codes: Codes, blank: Int32Array): readonly CodeColour[] {
  const [first, second, third] = principalComponents(codes, 3).map((component) => {
    const middle = blank.reduce((sum, code) => sum + component[code], 0) / blank.length;
    return component.map((value) => value - middle);
  });
  return Array.from({ length: codes.size }, (_, code) => {
    const hue = Math.atan2(second[code], first[code]) * 180 / Math.PI;
    const chroma = 0.03 + 0.11 * Math.tanh(Math.hypot(first[code], second[code]) / 1.5);
    const lightness = 0.68 + 0.16 * Math.tanh(third[code] / 1.5);
    return {
      ground: `oklch(${lightness.toFixed(3)} ${chroma.toFixed(3)} ${hue.toFixed(1)})`,
      text: lightness > 0.62 ? "#15171a" : "#ffffff",
    };
  });
}

/** Sorts all other codes by their distance from a code, nearest first. */
export function nearestCodes({ values, size, width }: Codes, code: number): readonly number[] {
  const distances = Float64Array.from({ length: size }, (_, other) => {
    let sum = 0;
    for (let at = 0; at < width; at++) {
      sum += (values[other * width + at] - values[code * width + at]) ** 2;
    }
    return sum;
  });
  return [...distances.keys()].filter((other) => other !== code)
    .sort((a, b) => distances[a] - distances[b]);
}

/** Projects the codes onto their first principal components, found by power iteration and scaled to unit deviation. */
function principalComponents({ values, size, width }: Codes, count: number): Float64Array[] {
  const rows = Float64Array.from(values);
  for (let at = 0; at < width; at++) {
    let mean = 0;
    for (let code = 0; code < size; code++) mean += rows[code * width + at] / size;
    for (let code = 0; code < size; code++) rows[code * width + at] -= mean;
  }
  return Array.from({ length: count }, (_, component) => {
    let direction = Float64Array.from({ length: width }, (_, at) => Math.sin(at + component + 1));
    let along = new Float64Array(size);
    for (let round = 0; round < 50; round++) {
      along = along.map((_, code) => dot(rows, code * width, direction));
      const next = new Float64Array(width);
      for (let code = 0; code < size; code++) {
        for (let at = 0; at < width; at++) next[at] += along[code] * rows[code * width + at];
      }
      const length = Math.hypot(...next) || 1;
      direction = next.map((value) => value / length);
    }
    for (let code = 0; code < size; code++) {
      const share = dot(rows, code * width, direction);
      along[code] = share;
      for (let at = 0; at < width; at++) rows[code * width + at] -= share * direction[at];
    }
    const deviation = Math.hypot(...along) / Math.sqrt(size) || 1;
    return along.map((value) => value / deviation);
  });
}

function dot(rows: Float64Array, start: number, direction: Float64Array): number {
  return direction.reduce((sum, value, at) => sum + value * rows[start + at], 0);
}
