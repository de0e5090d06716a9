/** Bounds on the distances between the features of two sets. A matrix product on the device gives approximate
 * distances; the few that must be exact are computed one by one. */
import { withoutGradients } from "../core/execute.ts";
import { matmul } from "../core/functions/products.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Features } from "./kernel_distance.ts";

/** How many features of a set are multiplied at a time: the product of two blocks is 4 MiB. */
const BLOCK = 1024;
/** Half a unit in the last place of float32. */
const ROUNDOFF = 2 ** -24;

/** Features prepared for the product. */
export interface ProductFeatures extends Features {
  /** The features minus the centre, divided by `scale`. Their length is at most 1, so that no product overflows. */
  readonly centred: Float32Array<ArrayBuffer>;
  /** A power of 2. */
  readonly scale: number;
  /** The distance of each feature from the centre. */
  readonly lengths: Float64Array;
}

/** Called for a pair: its squared distance lies in [least, most]. `exactSquare` computes it exactly. */
export type PairVisitor = (a: number, b: number, least: number, most: number) => void;

/** Prepares sets of features for comparison, with a common centre and scale.
 * @param action for the message: "measure precision and recall"
 * @throws {TypeError} the features of the sets differ in length
 * @throws {RangeError} a set is empty, or a value is not finite
 */
export function prepareFeatures(
  sets: readonly Features[],
  action: string,
): readonly ProductFeatures[] {
  const dimensions = sets[0].values.length / sets[0].count;
  for (const { values, count } of sets) {
    if (!(count >= 1)) {
      throw new RangeError(`Cannot ${action}: a set must have at least 1 feature, got ${count}`);
    }
    if (!Number.isInteger(dimensions) || values.length !== count * dimensions) {
      throw new TypeError(
        `Cannot ${action}: every feature must have ${dimensions} numbers, got ${values.length} numbers of ${count} features`,
      );
    }
    const broken = values.find((value) => !Number.isFinite(value));
    if (broken !== undefined) {
      throw new RangeError(`Cannot ${action}: every feature must be finite, got ${broken}`);
    }
  }
  const centre = new Float64Array(dimensions), [{ values, count }] = sets;
  for (let at = 0; at < values.length; at++) centre[at % dimensions] += values[at] / count;
  const lengths = sets.map((set) => lengthsFrom(centre, set));
  const longest = lengths.flatMap((own) => own.reduce((most, one) => Math.max(most, one), 0))
    .reduce((a, b) => Math.max(a, b));
  const scale = longest === 0 ? 1 : 2 ** (Math.floor(Math.log2(longest)) + 1);
  return sets.map((set, index) => ({
    ...set,
    scale,
    lengths: lengths[index],
    centred: set.values.map((value, at) => (value - centre[at % dimensions]) / scale),
  }));
}

function lengthsFrom(centre: Float64Array, { values, count }: Features): Float64Array {
  const dimensions = centre.length;
  return Float64Array.from({ length: count }, (_, row) => {
    let sum = 0;
    for (let at = 0; at < dimensions; at++) {
      sum += (values[row * dimensions + at] - centre[at]) ** 2;
    }
    return Math.sqrt(sum);
  });
}

/** The reach of each feature of the two sets, as squared distances. They may shrink while pairs are visited. */
export interface Reach {
  /** For each feature of the first set. */
  readonly a: Float64Array;
  /** For each feature of the second set. */
  readonly b: Float64Array;
}

/** Visits every pair of features of two sets that may be within the reach of either, with bounds on its squared
 * distance. Works block by block, so memory does not grow with the number of pairs.
 *
 * ‖x − y‖² = ‖x‖² + ‖y‖² − 2·x·y, where the device computes x·y in float32. In any order of summation, its error is at
 * most D·u·‖x‖·‖y‖ with u = 2⁻²⁴ (Higham 2002, section 3.1). Rounding x and y after centring adds at most 2·u·(‖x‖ +
 * ‖y‖)².
 */
export async function visitPairs(
  device: Device,
  a: ProductFeatures,
  b: ProductFeatures,
  reach: Reach,
  visit: PairVisitor,
): Promise<void> {
  const dimensions = a.values.length / a.count, square = a.scale ** 2;
  const ofProduct = 2 * (dimensions + 2) * ROUNDOFF, ofRounding = 2.1 * ROUNDOFF;
  const ofUnderflow = dimensions * 2 ** -120 * square; // Devices may flush the smallest numbers to 0.
  for (let top = 0; top < a.count; top += BLOCK) {
    using _outer = device.scope();
    const rows = Math.min(BLOCK, a.count - top);
    const left = blockOf(device, a, top, rows, dimensions);
    for (let start = 0; start < b.count; start += BLOCK) {
      using _inner = device.scope();
      const columns = Math.min(BLOCK, b.count - start);
      const right = blockOf(device, b, start, columns, dimensions);
      const products = await withoutGradients(() => matmul(left, right, { transposeB: true }))
        .floats();
      for (let row = 0; row < rows; row++) {
        const x = a.lengths[top + row];
        for (let column = 0; column < columns; column++) {
          const y = b.lengths[start + column];
          const near = x * x + y * y - 2 * square * products[row * columns + column];
          const off = ofProduct * x * y + ofRounding * (x + y) * (x + y) + ofUnderflow;
          const least = near - off;
          if (least > reach.a[top + row] && least > reach.b[start + column]) continue;
          visit(top + row, start + column, least, near + off);
        }
      }
    }
  }
}

function blockOf(
  device: Device,
  { centred }: ProductFeatures,
  start: number,
  rows: number,
  dimensions: number,
): Tensor {
  const values = centred.slice(start * dimensions, (start + rows) * dimensions);
  return device.tensor(values, [rows, dimensions]);
}

/** The squared distance between two features, as a plain sum in float64. */
export function exactSquare(a: Features, row: number, b: Features, column: number): number {
  const dimensions = a.values.length / a.count;
  const x = row * dimensions, y = column * dimensions;
  let sum = 0;
  for (let at = 0; at < dimensions; at++) sum += (a.values[x + at] - b.values[y + at]) ** 2;
  return sum;
}
