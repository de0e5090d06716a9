/** Reads the PNG files that this toolkit writes: 8 bits, grey or RGB, not interlaced. The caller knows the size, so a
 * file with another size is not unpacked. Source: the PNG specification, sections 5, 7, 9 and 11. */
import { inflateSync } from "node:zlib";

/** The pixels of a picture, row-major. */
export interface PngPixels {
  /** 1 for grey, 3 for RGB. */
  readonly channels: 1 | 3;
  /** The values of `[height, width, channels]`. */
  readonly data: Uint8Array;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** The overhead of a chunk in bytes: its length, its type and its checksum. */
const CHUNK_BYTES = 12;
const HEADER_BYTES = 13;

/** Reads a PNG of the given sides.
 * @param name the name of the file in messages
 * @throws {RangeError} the bytes are not such a PNG, or are damaged
 */
export function readPng(png: Uint8Array, width: number, height: number, name: string): PngPixels {
  const refuse = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot read ${name}: ${requirement}, got ${actual}`);
  };
  if (!SIGNATURE.every((byte, at) => png[at] === byte)) refuse("it must be a PNG", "another kind");
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let header: DataView | undefined, packedBytes = 0;
  const parts: Uint8Array[] = [];
  for (let at = SIGNATURE.length;;) {
    const length = at + CHUNK_BYTES <= png.length ? view.getUint32(at) : Infinity;
    if (at + CHUNK_BYTES + length > png.length) refuse("it must be whole", "a truncated one");
    const type = new TextDecoder("latin1").decode(png.subarray(at + 4, at + 8));
    const start = at + 8;
    if (type === "IHDR" && length === HEADER_BYTES) {
      header ??= new DataView(png.buffer, png.byteOffset + start, length);
    }
    if (type === "IDAT") {
      parts.push(png.subarray(start, start + length));
      packedBytes += length;
    }
    if (type === "IEND") break;
    at += CHUNK_BYTES + length;
  }
  if (header === undefined) return refuse("it must start with a header", "none");
  const [wide, tall] = [header.getUint32(0), header.getUint32(4)];
  if (wide !== width || tall !== height) {
    refuse(`it must have ${width}×${height} pixels`, `${wide}×${tall}`);
  }
  const colour = header.getUint8(9);
  if (header.getUint8(8) !== 8 || colour !== 0 && colour !== 2 || header.getUint8(12) !== 0) {
    refuse("it must be of 8 bits, grey or RGB, in one pass", "another form");
  }
  const channels = colour === 0 ? 1 : 3, stride = width * channels;
  const packed = new Uint8Array(packedBytes);
  let filled = 0;
  for (const part of parts) {
    packed.set(part, filled);
    filled += part.length;
  }
  const bytes = height * (1 + stride);
  const unpacked = unpack(packed, bytes) ??
    refuse(`its pixels must unpack to ${bytes} bytes`, "others");
  return { channels, data: unfiltered(unpacked, height, stride, channels, refuse) };
}

function unpack(packed: Uint8Array, bytes: number): Uint8Array | undefined {
  try {
    const unpacked = inflateSync(packed, {
      maxOutputLength: bytes,
      chunkSize: Math.max(64, bytes),
    });
    return unpacked.length === bytes ? unpacked : undefined;
  } catch {
    return undefined;
  }
}

/** Undoes the filter of each line in place, and returns the lines without the filter numbers. */
function unfiltered(
  lines: Uint8Array,
  height: number,
  stride: number,
  channels: number,
  refuse: (requirement: string, actual: string) => never,
): Uint8Array {
  for (let line = 0; line < height; line++) {
    const from = line * (1 + stride), filter = lines[from];
    if (filter > 4) refuse("its lines must have a filter of the format", `${filter}`);
    const pixels = lines.subarray(from + 1, from + 1 + stride);
    for (let at = 0; at < stride; at++) {
      const left = at < channels ? 0 : pixels[at - channels];
      const up = line === 0 ? 0 : lines[(line - 1) * stride + at];
      const corner = at < channels || line === 0 ? 0 : lines[(line - 1) * stride + at - channels];
      if (filter === 1) pixels[at] += left;
      else if (filter === 2) pixels[at] += up;
      else if (filter === 3) pixels[at] += (left + up) >> 1;
      else if (filter === 4) pixels[at] += nearest(left, up, corner);
    }
    lines.copyWithin(line * stride, from + 1, from + 1 + stride);
  }
  return lines.subarray(0, height * stride);
}

/** Paeth's predictor. */
function nearest(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const a = Math.abs(estimate - left), b = Math.abs(estimate - up), c = Math.abs(estimate - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
