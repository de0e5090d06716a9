/** What the fuzzer knows of a format. */
import type { Draw } from "./draw.ts";

/** A format: how its inputs are made and read. */
export interface FuzzTarget {
  /** What it is called; also the ending of the files that are saved. */
  readonly name: string;
  /** A small file that is read. */
  sample(): Uint8Array<ArrayBuffer>;
  /** An input: a file of the format that lies, repeats, nests and overlaps as the choices say. */
  make(draw: Draw): Uint8Array<ArrayBuffer>;
  /** Reads an input as the toolkit does, and gives up what it read.
   * @param path where the input lies as a file; errors must name it
   */
  read(bytes: Uint8Array<ArrayBuffer>, path: string): unknown;
  /** Bytes of memory that an input may take beside those of the promise: decoded pictures take their pixels. */
  extra?(bytes: Uint8Array): number;
}

/** The formats, by the names of their modules. */
export const TARGETS = [
  ...["parquet", "lmdb", "tar", "gzip", "idx", "cifar", "zip", "pickle", "pytorch"],
  ...["safetensors", "statistics", "png", "image", "json"],
] as const;

/** The module of a format. */
export function targetModule(name: string): string {
  return new URL(`targets/${name}.ts`, import.meta.url).href;
}

/** Loads a format. */
export async function loadTarget(module: string): Promise<FuzzTarget> {
  return (await import(module)).default;
}
