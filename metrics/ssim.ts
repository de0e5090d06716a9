/** Structural similarity (Wang et al. 2004, "Image quality assessment", eq. 13), as scikit-image computes it. */
import { checkPair, type Images } from "./images.ts";

/** Options of SSIM. */
export interface SsimOptions {
  /** The largest possible value minus the smallest: 1 for [0, 1], 2 for [−1, 1], 255 for bytes. */
  readonly dataRange: number;
  /** The weights of the window's pixels: uniform (the default), or Gaussian with σ = 1.5, cut off at 5 pixels. */
  readonly weights?: "uniform" | "gaussian";
  /** The side of the window, odd. By default 7 for uniform weights; always 11 for Gaussian ones. */
  readonly window?: number;
  /** Whether to divide covariances by n − 1 instead of n, the number of the window's pixels; by default true, as in
   * scikit-image. */
  readonly sampleCovariance?: boolean;
}

/** A window of weights that sum to 1, the same along both axes. */
export interface Window {
  /** One weight per pixel of the side. */
  readonly weights: Float64Array;
  /** The factor of the covariances. */
  readonly covarianceScale: number;
}

/** Two images of one channel. */
export interface Planes {
  /** The values of the first image, `[height, width]`. */
  readonly a: Float64Array;
  /** The values of the second image, `[height, width]`. */
  readonly b: Float64Array;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/** The structural similarity of each image: the mean over the windows that lie entirely within it, and over its
 * channels.
 *
 * ```ts
 * import { imageSsim, randomKey, openDevice, uniform } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const shape = [2, 16, 16, 3] as const;
 * const values = await uniform(device, shape, randomKey(1, "images")).floats();
 * const images = { values, shape };
 * assert.deepEqual([...imageSsim(images, images, { dataRange: 1 })], [1, 1]);
 * ```
 * @returns `[count]`, in [−1, 1]; float64
 * @throws {TypeError} the shapes differ
 * @throws {RangeError} the window is even, larger than the images, or Gaussian and not 11; or the range is not positive
 */
export function imageSsim(
  originals: Images,
  reconstructions: Images,
  options: SsimOptions,
): Float64Array<ArrayBuffer> {
  checkPair(originals, reconstructions, "measure SSIM");
  const [, height, width] = originals.shape;
  const window = ssimWindow(options);
  const side = window.weights.length;
  if (side > Math.min(height, width)) {
    throw new RangeError(
      `Cannot measure SSIM: the images must be at least as large as the window, ${side}, got ${height}×${width}`,
    );
  }
  return meanOverPlanes(
    originals,
    reconstructions,
    (planes) => similarity(planes, window, options.dataRange).ssim,
  );
}

/** For each image, the mean over its channels of a number computed from each pair of planes. */
export function meanOverPlanes(
  originals: Images,
  reconstructions: Images,
  measure: (planes: Planes) => number,
): Float64Array<ArrayBuffer> {
  const [count, height, width, channels] = originals.shape;
  const planeOf = ({ values }: Images, image: number, channel: number) => {
    const plane = new Float64Array(height * width);
    const start = image * plane.length * channels + channel;
    for (let pixel = 0; pixel < plane.length; pixel++) {
      plane[pixel] = values[start + pixel * channels];
    }
    return plane;
  };
  return Float64Array.from({ length: count }, (_, image) => {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      const [a, b] = [originals, reconstructions].map((side) => planeOf(side, image, channel));
      sum += measure({ a, b, height, width });
    }
    return sum / channels;
  });
}

/** The window for the options.
 * @throws {RangeError} as in `imageSsim`
 */
export function ssimWindow(options: SsimOptions): Window {
  const { weights = "uniform", dataRange, sampleCovariance = true } = options;
  const { window = weights === "gaussian" ? 11 : 7 } = options;
  if (!(dataRange > 0)) {
    throw new RangeError(`Cannot measure SSIM: the data range must be positive, got ${dataRange}`);
  }
  if (!Number.isInteger(window) || window < 3 || window % 2 === 0) {
    throw new RangeError(
      `Cannot measure SSIM: the window must be odd and at least 3, got ${window}`,
    );
  }
  if (weights === "gaussian" && window !== 11) {
    throw new RangeError(`Cannot measure SSIM: a Gaussian window must be 11, got ${window}`);
  }
  const radius = (window - 1) / 2;
  const raw = Float64Array.from(
    { length: window },
    (_, at) => weights === "gaussian" ? Math.exp(-((at - radius) ** 2) / (2 * 1.5 ** 2)) : 1,
  );
  const total = raw.reduce((sum, weight) => sum + weight);
  const pixels = window * window;
  return {
    weights: raw.map((weight) => weight / total),
    covarianceScale: sampleCovariance ? pixels / (pixels - 1) : 1,
  };
}

/** SSIM and its factor of contrast and structure, each the mean over the windows within the planes:
 *
 *     ssim = (2·μ_a·μ_b + C₁)/(μ_a² + μ_b² + C₁) · (2·σ_ab + C₂)/(σ_a² + σ_b² + C₂)
 *
 * where C₁ = (0.01·range)², C₂ = (0.03·range)².
 */
export function similarity(
  { a, b, height, width }: Planes,
  { weights, covarianceScale }: Window,
  dataRange: number,
): { readonly ssim: number; readonly contrast: number } {
  const mean = (plane: Float64Array) => windowMeans(plane, height, width, weights);
  const product = (x: Float64Array, y: Float64Array) => {
    const products = new Float64Array(x.length);
    for (let at = 0; at < x.length; at++) products[at] = x[at] * y[at];
    return mean(products);
  };
  const [meanA, meanB, squareA, squareB, both] = [
    mean(a),
    mean(b),
    product(a, a),
    product(b, b),
    product(a, b),
  ];
  const c1 = (0.01 * dataRange) ** 2, c2 = (0.03 * dataRange) ** 2;
  let ssim = 0, contrast = 0;
  for (let at = 0; at < both.length; at++) {
    const ab = meanA[at] * meanB[at], aa = meanA[at] ** 2, bb = meanB[at] ** 2;
    const covariance = covarianceScale * (both[at] - ab);
    const variances = covarianceScale * (squareA[at] - aa + squareB[at] - bb);
    const structure = (2 * covariance + c2) / (variances + c2);
    contrast += structure;
    ssim += structure * (2 * ab + c1) / (aa + bb + c1);
  }
  return { ssim: ssim / both.length, contrast: contrast / both.length };
}

/** The weighted mean of every window that lies entirely within a plane: first along the rows, then along the
 * columns. */
function windowMeans(
  plane: Float64Array,
  height: number,
  width: number,
  weights: Float64Array,
): Float64Array<ArrayBuffer> {
  const columns = width - weights.length + 1, rows = height - weights.length + 1;
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let at = 0; at < weights.length; at++) sum += weights[at] * plane[y * width + x + at];
      across[y * columns + x] = sum;
    }
  }
  const means = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let at = 0; at < weights.length; at++) {
      const from = (y + at) * columns, to = y * columns;
      for (let x = 0; x < columns; x++) means[to + x] += weights[at] * across[from + x];
    }
  }
  return means;
}
