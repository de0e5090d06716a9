/** The kernel distance between sets of features (Bińkowski et al. 2018, arXiv 1801.01401): KID if the features are
 * Inception's. */
import { matmul } from "../core/functions/products.ts";
import { permutation, randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";

/** Features of some images. */
export interface Features {
  /** `[count, dimensions]`. */
  readonly values: Float32Array<ArrayBuffer>;
  /** The number of features. */
  readonly count: number;
}

/** The unbiased squared maximum mean discrepancy with the kernel (x·y/D + 1)³: 0 on average for sets from the same
 * distribution, so sometimes negative. The device computes the products; the sums are float64.
 * @throws {RangeError} a set has fewer than two features
 */
export async function kernelDistance(device: Device, a: Features, b: Features): Promise<number> {
  for (const { count } of [a, b]) {
    if (count < 2) {
      throw new RangeError(
        `Cannot take a kernel distance: both must have at least 2 features, got ${count}`,
      );
    }
  }
  const [within, between] = await Promise.all([
    Promise.all([a, b].map(async (one) => {
      const { sum, diagonal } = await kernelSums(device, one, one);
      return (sum - diagonal) / (one.count * (one.count - 1));
    })),
    kernelSums(device, a, b),
  ]);
  return within[0] + within[1] - 2 * between.sum / (a.count * b.count);
}

/** The mean kernel distance over random subsets, drawn without replacement, as KID is reported. If the subsets would
 * contain all features of both sets, they are all equal, and the distance is measured once.
 * @param subsets how many subsets to draw
 * @param size the largest number of features per subset; limited to the size of the smaller set
 */
export async function meanKernelDistance(
  device: Device,
  a: Features,
  b: Features,
  { subsets = 100, size = 1000 }: { readonly subsets?: number; readonly size?: number } = {},
): Promise<number> {
  const taken = Math.min(size, a.count, b.count);
  if (taken === a.count && taken === b.count) return await kernelDistance(device, a, b);
  let sum = 0;
  for (let subset = 0; subset < subsets; subset++) {
    const [from, to] = [a, b].map((set, side) =>
      pick(
        set,
        permutation(randomKey(side, "kernel distance", subset), set.count).subarray(0, taken),
      )
    );
    sum += await kernelDistance(device, from, to);
  }
  return sum / subsets;
}

async function kernelSums(
  device: Device,
  a: Features,
  b: Features,
): Promise<{ readonly sum: number; readonly diagonal: number }> {
  const dimensions = a.values.length / a.count;
  using _scope = device.scope();
  const [left, right] = [a, b].map(({ values, count }) =>
    device.tensor(values, [count, dimensions])
  );
  const products = await matmul(left, right, { transposeB: true }).floats();
  let sum = 0, diagonal = 0;
  for (let at = 0; at < products.length; at++) {
    const base = products[at] / dimensions + 1, value = base * base * base;
    sum += value;
    if (at % (b.count + 1) === 0) diagonal += value;
  }
  return { sum, diagonal };
}

function pick({ values, count }: Features, indices: Int32Array): Features {
  const dimensions = values.length / count;
  const picked = new Float32Array(indices.length * dimensions);
  indices.forEach((index, at) => {
    picked.set(values.subarray(index * dimensions, (index + 1) * dimensions), at * dimensions);
  });
  return { values: picked, count: indices.length };
}
