/** Writes archives in their true format, byte by byte. */
import { gzipSync } from "node:zlib";

/** An entry of a tar archive; a file where no type is given. */
export interface Entry {
  readonly name: string;
  readonly content?: Uint8Array;
  readonly type?: string;
  /** The length that the header says, if it lies. */
  readonly size?: number;
}

const encoder = new TextEncoder();

/** The header of an entry as GNU tar and bsdtar write it. */
export function tarHeader({ name, content, type = "0", size }: Entry): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(512);
  const write = (text: string, at: number) => block.set(encoder.encode(text), at);
  write(name.slice(0, 100), 0);
  write("0000644\0" + "0000000\0" + "0000000\0", 100);
  write(`${(size ?? content?.length ?? 0).toString(8).padStart(11, "0")}\0`, 124);
  write("00000000000\0", 136);
  write("        ", 148);
  write(type, 156);
  write("ustar\0" + "00", 257);
  const sum = block.reduce((sum, byte) => sum + byte, 0);
  write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A tar archive. */
export function tar(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? new Uint8Array(0);
    return [tarHeader(entry), content, new Uint8Array((512 - content.length % 512) % 512)];
  });
  return joined([...parts, new Uint8Array(1024)]);
}

/** Bytes one after another. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Gzipped bytes. */
export function gzip(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(bytes));
}

/** An IDX file of unsigned bytes whose header says `shape`. */
export function idx(shape: readonly number[], values: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = new DataView(new ArrayBuffer(4 + 4 * shape.length));
  header.setUint32(0, 0x0800 + shape.length);
  shape.forEach((side, axis) => header.setUint32(4 + 4 * axis, side));
  return joined([new Uint8Array(header.buffer), values]);
}

/** A file of CIFAR-10's binary form: image `i` has the label `i % 10` and the values of `at(i, channel, pixel)`. */
export function cifar(
  images: number,
  at: (image: number, channel: number, pixel: number) => number,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: images * 3073 }, (_, place) => {
    const image = Math.floor(place / 3073), value = place % 3073 - 1;
    return value < 0 ? image % 10 : at(image, Math.floor(value / 1024), value % 1024);
  });
}
