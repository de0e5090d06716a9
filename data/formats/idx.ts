/** IDX, the format of MNIST's files (LeCun et al.): a header of big-endian lengths, then the values. */

/** The array of bytes in an IDX file. */
export interface IdxArray {
  /** The lengths of its axes. */
  readonly shape: readonly number[];
  /** Its values, row-major, in the file's own memory. */
  readonly values: Uint8Array;
}

/** The type of unsigned bytes, in the header's third byte. */
const UNSIGNED_BYTES = 8;
/** The maximum number of axes: grey images have three, colour images four. */
const MOST_AXES = 8;

/** Reads an IDX file of unsigned bytes.
 * @param file the whole file, uncompressed
 * @param name the name of the file in error messages
 * @throws {RangeError} the header is not that of an IDX file of unsigned bytes, or does not match the length of the
 * file
 */
export function readIdx(file: Uint8Array, name: string): IdxArray {
  const refuse = (requirement: string, actual: string) =>
    new RangeError(`Cannot read ${name}: ${requirement}, got ${actual}`);
  const [zero, alsoZero, type, axes] = file;
  if (file.length < 4 || zero !== 0 || alsoZero !== 0 || type !== UNSIGNED_BYTES) {
    const start = [...file.subarray(0, 4)].join(" ");
    throw refuse(
      "it must start like an IDX file of unsigned bytes, with 0 0 8",
      start || "nothing",
    );
  }
  if (axes > MOST_AXES) throw refuse(`it must have at most ${MOST_AXES} axes`, `${axes}`);
  const header = 4 + 4 * axes;
  if (file.length < header) {
    throw refuse(`its header must have ${header} bytes`, `${file.length}`);
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const length = shape.reduce((product, side) => product * side, 1);
  if (length !== file.length - header) {
    throw refuse(
      `${shape.join("×")} values must follow the header`,
      `${file.length - header} bytes`,
    );
  }
  return { shape, values: file.subarray(header) };
}
