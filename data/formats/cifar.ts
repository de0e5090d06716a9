/** The binary format of CIFAR-10 (Krizhevsky 2009): a label, then 32×32 red, green and blue values. */

const SIDE = 32;
const PIXELS = SIDE * SIDE;
const RECORD = 1 + 3 * PIXELS;
const CLASSES = 10;

/** The images of a batch file, and their classes. */
export interface CifarBatch {
  /** The bytes of `[images, 32, 32, 3]`, row-major. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** The class of each image, 0 to 9. */
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** Reads the images of a batch file.
 * @param file the whole file
 * @param name the name of the file in messages
 * @throws {RangeError} the file does not hold one or more whole records, or a label is not in 0 to 9
 */
export function readCifar(file: Uint8Array, name: string): CifarBatch {
  const records = file.length / RECORD;
  if (records === 0 || !Number.isInteger(records)) {
    throw new RangeError(
      `Cannot read ${name}: it must hold whole records of ${RECORD} bytes and at least one, got ${file.length} bytes`,
    );
  }
  const images = new Uint8Array(records * 3 * PIXELS), labels = new Uint8Array(records);
  for (let record = 0; record < records; record++) {
    const start = record * RECORD;
    if (file[start] >= CLASSES) {
      throw new RangeError(
        `Cannot read ${name}: the label of record ${record} must be in [0, ${CLASSES}), got ${
          file[start]
        }`,
      );
    }
    labels[record] = file[start];
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        images[3 * (record * PIXELS + pixel) + channel] =
          file[start + 1 + channel * PIXELS + pixel];
      }
    }
  }
  return { images, labels };
}
