/** Pieces of binary files. */
import { joined } from "../data/archives.ts";

export { joined };

/** A little-endian integer of so many bytes; what does not fit is cut off. */
export function little(value: number, bytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: bytes }, (_, place) => Math.floor(value / 256 ** place) % 256);
}

/** A big-endian integer. */
export function big(value: number, bytes: number): Uint8Array<ArrayBuffer> {
  return little(value, bytes).reverse();
}

/** A text's bytes in UTF-8. */
export function text(content: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(content);
}

/** Bytes that are the codes of letters: `\x80` is one. */
export function latin(content: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(content, (letter) => letter.charCodeAt(0));
}

const made = new Map<string, Uint8Array<ArrayBuffer>>();

/** What a large number of zeros is packed to, which takes long to make. */
export function bomb(
  size: number,
  pack: (zeros: Uint8Array) => Uint8Array,
  name: string,
): Uint8Array<ArrayBuffer> {
  const key = `${name} ${size}`;
  const known = made.get(key) ?? new Uint8Array(pack(new Uint8Array(size)));
  made.set(key, known);
  return known;
}
