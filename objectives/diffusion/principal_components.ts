/** Principal component analysis: the directions in which values vary most. */

/** Orthogonal directions of length 1, and the variance along each, in descending order. */
export interface PrincipalComponents {
  /** `[count][D]`. */
  readonly directions: readonly (readonly number[])[];
  /** `[count]`, none negative. */
  readonly variances: readonly number[];
}

/** The largest number of sweeps over all pairs of axes; about ten reduce the off-diagonal to zero. */
const SWEEPS = 100;

/** The principal components of a covariance matrix: its eigenvectors, by Jacobi's rotations in cyclic order (Golub and
 * Van Loan, Matrix Computations, 8.5).
 * @param covariance `[D][D]`, symmetric
 * @param count how many of the D components to return
 */
export function principalComponents(
  covariance: readonly (readonly number[])[],
  count: number,
): PrincipalComponents {
  const side = covariance.length;
  const rest = covariance.map((row) => Float64Array.from(row));
  // Rows become the eigenvectors.
  const vectors = rest.map((_, at) =>
    Float64Array.from({ length: side }, (_, i) => i === at ? 1 : 0)
  );
  const norm = Math.hypot(...rest.map((row) => Math.hypot(...row)));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let off = 0;
    for (let p = 0; p < side; p++) {
      for (let q = p + 1; q < side; q++) {
        off = Math.max(off, Math.abs(rest[p][q]));
        rotate(rest, vectors, p, q);
      }
    }
    if (off <= Number.EPSILON * norm) break;
  }
  const order = rest.map((_, at) => at).sort((a, b) => rest[b][b] - rest[a][a]).slice(0, count);
  return {
    directions: order.map((at) => [...vectors[at]]),
    variances: order.map((at) => Math.max(0, rest[at][at])),
  };
}

/** Rotates axes p and q so that their covariance becomes zero. */
function rotate(matrix: Float64Array[], vectors: Float64Array[], p: number, q: number): void {
  const together = matrix[p][q];
  if (together === 0) return;
  const theta = (matrix[q][q] - matrix[p][p]) / (2 * together);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(tangent, 1), sine = tangent * cosine;
  const turn = (rows: Float64Array[]) => {
    const [first, second] = [rows[p], rows[q]];
    for (let at = 0; at < first.length; at++) {
      const [a, b] = [first[at], second[at]];
      first[at] = cosine * a - sine * b;
      second[at] = sine * a + cosine * b;
    }
  };
  turn(matrix);
  turn(vectors);
  for (const row of matrix) {
    const [a, b] = [row[p], row[q]];
    row[p] = cosine * a - sine * b;
    row[q] = sine * a + cosine * b;
  }
}
