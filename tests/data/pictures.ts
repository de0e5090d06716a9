/** Pictures that tests write, each of one colour that says which it is. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import type { Dataset, Split } from "../../data/dataset.ts";

/** The bytes of a PNG of the colour of a number in [0, 1000). */
export async function picture(
  number: number,
  width = 12,
  height = 10,
): Promise<Uint8Array<ArrayBuffer>> {
  const background = { r: number % 10 * 25, g: Math.floor(number / 10) % 10 * 25, b: number / 4 };
  const image = sharp({ create: { width, height, channels: 3, background } });
  return new Uint8Array(await image.png({ compressionLevel: 1 }).toBuffer());
}

/** The numbers of the pictures that a data set gives. */
export function numbersIn(
  values: Float32Array,
  { imageShape: [height, width] }: Dataset,
): number[] {
  const size = height * width * 3;
  return Array.from({ length: values.length / size }, (_, image) => {
    const [red, green] = values.subarray(image * size).map((value) => (value + 1) * 255 / 2);
    return Math.round(red / 25) + 10 * Math.round(green / 25);
  });
}

/** The numbers of all pictures of a part, in order. */
export async function numbersOf(dataset: Dataset, split: Split): Promise<number[]> {
  const indices = Int32Array.from({ length: dataset.sizes[split] }, (_, index) => index);
  return numbersIn(await dataset.images(split, indices), dataset);
}

/** Writes files into a folder, and makes the folders that they lie in. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

/** Writes pictures with these names, numbered in the order of the list, from `first` on. */
export async function writePictures(
  folder: string,
  names: readonly string[],
  first = 0,
): Promise<void> {
  for (const [index, name] of names.entries()) {
    await writeFiles(folder, { [name]: await picture(first + index) });
  }
}

/** A test with a folder of its own, which is taken away afterwards. */
export function testInFolder(name: string, body: (folder: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const folder = await Deno.makeTempDir({ prefix: "codebook-" });
    try {
      await body(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** The message of the error that an action ends with. */
export async function messageOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof Error, "it must fail");
  return error.message;
}
