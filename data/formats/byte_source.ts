/** Bytes that are read once from start to end: from a file, from the web, or while unpacking. */
import type { FileHandle } from "node:fs/promises";

/** A sequence of bytes. */
export interface ByteSource {
  /** How many bytes have been read or skipped. */
  readonly position: number;
  /** Reads the next bytes.
   * @returns as many as requested, or all that are left
   */
  read(length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Skips bytes. Past the end, nothing is left. */
  skip(length: number): Promise<void>;
}

/** The bytes of an open file. Skipped bytes are not read. */
export class FileSource implements ByteSource {
  position = 0;

  /** Starts at the beginning of the file. The caller must close the file.
   * @param size the length of the file
   */
  constructor(readonly file: FileHandle, readonly size: number) {}

  async read(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(Math.min(length, this.size - this.position));
    let filled = 0;
    while (filled < bytes.length) {
      const left = bytes.length - filled;
      const { bytesRead } = await this.file.read(bytes, filled, left, this.position);
      if (bytesRead === 0) break;
      filled += bytesRead;
      this.position += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  async skip(length: number): Promise<void> {
    this.position = await Promise.resolve(Math.min(this.size, this.position + length));
  }
}

/** The bytes of a stream. */
export class StreamSource implements ByteSource {
  position = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  /** Takes ownership of the stream. */
  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async read(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array[] = [];
    let wanted = length;
    while (wanted > 0) {
      const part = await this.#next(wanted);
      if (part === undefined) break;
      parts.push(part);
      wanted -= part.length;
    }
    const bytes = new Uint8Array(length - wanted); // Only the bytes received: a header may claim more than there are.
    let filled = 0;
    for (const part of parts) {
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }

  async skip(length: number): Promise<void> {
    while (length > 0) {
      const part = await this.#next(length);
      if (part === undefined) return;
      length -= part.length;
    }
  }

  /** Cancels the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** At most `most` of the next bytes; undefined at the end. */
  async #next(most: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return undefined;
      this.#chunk = value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    this.position += part.length;
    return part;
  }
}
