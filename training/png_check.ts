/** Pictures that are read back: what their bytes say is checked before anything is allocated for it. */
import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";

/** What a picture must be. */
export interface PictureSize {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Why it must have them, for the message: "4 images must make a grid of". */
  readonly reason: string;
}

/** Pixels of a picture, at most. */
const MOST_PIXELS = 1e8;
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Of the length, the name and the sum of a chunk. */
const CHUNK_FRAME = 12;
/** The chunks of a plain picture, and the channels of its colour types. */
const CHUNKS = ["IHDR", "IDAT", "IEND"], CHANNELS = new Map([[0, 1], [2, 3]]);

/** Refuses a PNG that is not a plain picture of a size, grey or RGB in 8 bits, whose data are as long as they must be.
 * @throws {TypeError} it is another, or is broken
 */
export function checkPicture(png: Uint8Array, { width, height, reason }: PictureSize): void {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  const refuse = (requirement: string, actual: string): never => {
    throw new TypeError(`Cannot read samples: ${requirement}, got ${actual}`);
  };
  if (SIGNATURE.some((byte, at) => bytes[at] !== byte)) {
    refuse(
      "a PNG must begin with its signature",
      bytes.subarray(0, 8).toString("hex") || "nothing",
    );
  }
  if (width * height > MOST_PIXELS) {
    refuse(`a picture must have at most ${MOST_PIXELS} pixels`, `${width}×${height}`);
  }
  const parts = new Map<string, Buffer[]>(CHUNKS.map((name) => [name, []]));
  for (let at = SIGNATURE.length; parts.get("IEND")!.length === 0;) {
    if (at + CHUNK_FRAME > bytes.length) refuse("a PNG must have its end", "one cut short");
    const length = bytes.readUInt32BE(at), name = bytes.toString("latin1", at + 4, at + 8);
    if (at + CHUNK_FRAME + length > bytes.length) {
      refuse(`its ${length} bytes of ${JSON.stringify(name)} must be there`, "a PNG cut short");
    }
    const chunks = parts.get(name) ?? refuse("its parts must be plain", JSON.stringify(name));
    chunks.push(bytes.subarray(at + 8, at + 8 + length));
    at += CHUNK_FRAME + length;
  }
  const [header] = parts.get("IHDR")!;
  if (header?.length !== 13) refuse("a PNG must begin with its header", "none");
  const [wide, tall] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  if (wide !== width || tall !== height) {
    refuse(`${reason} ${width}×${height} pixels`, `${wide}×${tall}`);
  }
  const [depth, type, , , interlace] = header.subarray(8);
  const channels = CHANNELS.get(type);
  if (depth !== 8 || channels === undefined || interlace !== 0) {
    return refuse("pixels must be grey or RGB in 8 bits", `type ${type} in ${depth} bits`);
  }
  const expected = height * (1 + width * channels); // A filter's number before each row.
  const found = inflated(Buffer.concat(parts.get("IDAT")!), expected);
  if (found !== expected) refuse(`its data must be ${expected} bytes`, String(found));
}

/** How many bytes data inflate to, or why they do not; no more than a limit is tried. */
function inflated(data: Uint8Array, limit: number): number | string {
  try {
    return inflateSync(data, { maxOutputLength: limit }).length;
  } catch (cause) {
    return (cause as Error).message;
  }
}
