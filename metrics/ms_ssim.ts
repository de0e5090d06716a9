/** Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003). */
import { checkPair, type Images } from "./images.ts";
import { meanOverPlanes, type Planes, similarity, ssimWindow } from "./ssim.ts";

/** The exponent of each scale, from the finest (Wang et al. 2003, section 3.2). */
const EXPONENTS: readonly number[] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW = 11;

/** The multi-scale structural similarity of each image: Π contrastᵢ^wᵢ · ssim₅^w₅ over five scales, each half the size
 * of the one before by 2×2 averages (an odd last row or column is repeated). The window is Gaussian with a side of 11,
 * and covariances are over n. A contrast below 0 counts as 0. The result is the mean over the channels.
 *
 * @param dataRange the largest possible value minus the smallest
 * @returns `[count]`, in [0, 1]; float64
 * @throws {TypeError} the shapes differ
 * @throws {RangeError} a side is under 161 pixels, so that the window does not fit the coarsest scale
 */
export function imageMsSsim(
  originals: Images,
  reconstructions: Images,
  dataRange: number,
): Float64Array<ArrayBuffer> {
  checkPair(originals, reconstructions, "measure MS-SSIM");
  const [, height, width] = originals.shape;
  const least = (WINDOW - 1) * 2 ** (EXPONENTS.length - 1) + 1;
  if (Math.min(height, width) < least) {
    throw new RangeError(
      `Cannot measure MS-SSIM: both sides must be at least ${least}, got ${height}×${width}`,
    );
  }
  const window = ssimWindow({ dataRange, weights: "gaussian", sampleCovariance: false });
  return meanOverPlanes(originals, reconstructions, (finest) => {
    let planes = finest, product = 1;
    EXPONENTS.forEach((exponent, scale) => {
      if (scale > 0) planes = halve(planes);
      const { ssim, contrast } = similarity(planes, window, dataRange);
      const factor = scale === EXPONENTS.length - 1 ? ssim : contrast;
      product *= Math.max(0, factor) ** exponent;
    });
    return product;
  });
}

function halve({ a, b, height, width }: Planes): Planes {
  const rows = Math.ceil(height / 2), columns = Math.ceil(width / 2);
  const half = (plane: Float64Array) => {
    const means = new Float64Array(rows * columns);
    for (let y = 0; y < rows; y++) {
      const top = 2 * y * width, below = Math.min(2 * y + 1, height - 1) * width;
      for (let x = 0; x < columns; x++) {
        const left = 2 * x, right = Math.min(left + 1, width - 1);
        means[y * columns + x] = (plane[top + left] + plane[top + right] + plane[below + left] +
          plane[below + right]) / 4;
      }
    }
    return means;
  };
  return { a: half(a), b: half(b), height: rows, width: columns };
}
