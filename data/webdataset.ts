/** WebDataset: tar archives of images, local or on the web (Aizman et al. 2019, arXiv 2001.01858). */
import { open } from "node:fs/promises";
import * as z from "zod";
import type { Dataset, Split } from "./dataset.ts";
import type { EncodedImage } from "./encoded.ts";
import { isImageName } from "./folder.ts";
import { type ByteSource, FileSource, StreamSource } from "./formats/byte_source.ts";
import { readTar } from "./formats/tar.ts";
import { type DatasetKind, type OpenOptions, squareInColour } from "./kind.ts";
import {
  findShards,
  isAddress,
  shardName,
  type StreamedSettings,
  streamedSettings,
} from "./shards.ts";
import { openStreamed, type Shard } from "./streamed.ts";
import { regularSize } from "../files/regular_file.ts";

/** The maximum size in bytes of an image in memory. */
const MOST_BYTES = 2 ** 27;

/** The maximum size in bytes of a file with a class. */
const MOST_LABEL_BYTES = 32;

/** `webdataset` in the registry: `[size, size, 3]`. Every file of a shard with an image extension is an image. If the
 * number of classes is set, the class is read from the file with the same name up to the first dot and the extension
 * `.cls`. Other files (captions) are skipped. Shards on the web are streamed and never kept. Their images cannot be
 * counted in advance, so the settings must give their number. */
export const webdatasetKind: DatasetKind<StreamedSettings> = {
  schema: z.strictObject(
    streamedSettings(
      "shards (.tar)",
      "counted, which only shards in files can be",
      "the number of classes in the .cls files beside the images; none: these are not read",
    ),
  ),
  imageShape: squareInColour,
  open: openWebdataset,
};

async function openWebdataset(settings: StreamedSettings, options: OpenOptions): Promise<Dataset> {
  const named = {
    train: await findShards(settings.train, "--data.train", ".tar"),
    test: await findShards(settings.test, "--data.test", ".tar"),
  };
  const sizes = {
    train: settings.trainImages ?? await count(named.train, "train"),
    test: settings.testImages ?? await count(named.test, "test"),
  };
  const shard = (name: string) => shardOf(name, settings.classes !== null);
  const shards = { train: named.train.map(shard), test: named.test.map(shard) };
  const classes = settings.classes === null
    ? undefined
    : [...Array(settings.classes).keys()].map(String);
  const name = `webdataset ${shardName(named.train[0])}`;
  return await openStreamed({ name, shards, sizes, classes, settings }, options);
}

function shardOf(name: string, isLabelled: boolean): Shard {
  return { images: () => imagesOf(name, isLabelled) };
}

async function* imagesOf(name: string, isLabelled: boolean): AsyncGenerator<EncodedImage> {
  const images = isAddress(name) ? imagesOnTheWeb(name) : imagesInFile(name);
  if (!isLabelled) {
    for await (const { image } of images) if (image !== undefined) yield image;
    return;
  }
  // The files of a sample, its image and its class, are adjacent, in any order.
  let sample: string | undefined, held: EncodedImage[] = [], label: number | undefined;
  for await (const part of images) {
    if (part.sample !== sample) {
      yield* held.map((image) => ({ ...image, label }));
      [sample, held, label] = [part.sample, [], undefined];
    }
    if (part.image !== undefined) held.push(part.image);
    label ??= part.label;
  }
  yield* held.map((image) => ({ ...image, label }));
}

/** A file of a shard that is an image or contains a class. */
interface SamplePart {
  /** The name that the files of a sample have in common. */
  readonly sample: string;
  /** The image. */
  readonly image?: EncodedImage;
  /** The class; NaN if the file does not hold a whole number. */
  readonly label?: number;
}

/** The path of a file up to the first dot of its name. */
function sampleOf(name: string): string {
  return name.replace(/([^/]*?)\.[^/]*$/, "$1");
}

/** The locations of the images of a local shard; the decoders read the images from there. */
async function* imagesInFile(path: string): AsyncGenerator<SamplePart> {
  await regularSize(path);
  const file = await open(path);
  try {
    const source = new FileSource(file, (await file.stat()).size);
    for await (const { name, size, offset } of readTar(source, path)) {
      const sample = sampleOf(name);
      if (isImageName(name)) {
        yield { sample, image: { name: `${name} of ${path}`, path, offset, length: size } };
      } else if (name.endsWith(".cls")) yield { sample, label: await readLabel(source, size) };
    }
  } finally {
    await file.close();
  }
}

async function* imagesOnTheWeb(address: string): AsyncGenerator<SamplePart> {
  const response = await fetch(address);
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Error(`Cannot read ${address}: the server must give it, got ${response.status}`);
  }
  const source = new StreamSource(response.body);
  try {
    for await (const { name, size } of readTar(source, address)) {
      const sample = sampleOf(name);
      if (name.endsWith(".cls")) yield { sample, label: await readLabel(source, size) };
      if (!isImageName(name)) continue;
      if (size > MOST_BYTES) {
        throw new RangeError(
          `Cannot read ${address}: an image must have at most ${MOST_BYTES} bytes, got ${size} in ${name}`,
        );
      }
      const bytes = await source.read(size);
      yield { sample, image: { name: `${name} of ${address}`, bytes } };
    }
  } finally {
    await source.close();
  }
}

async function readLabel(source: ByteSource, size: number): Promise<number> {
  if (size > MOST_LABEL_BYTES) return NaN;
  const text = new TextDecoder().decode(await source.read(size)).trim();
  return /^\d+$/.test(text) ? Number(text) : NaN;
}

/** Counts the images of local shards. */
async function count(names: readonly string[], split: Split): Promise<number> {
  const onTheWeb = names.find(isAddress);
  if (onTheWeb !== undefined) {
    throw new RangeError(
      `Cannot open webdataset: --data.${split}Images must give the number of images in the shards on the web, got none for ${onTheWeb}`,
    );
  }
  let images = 0;
  for (const name of names) for await (const _ of imagesOf(name, false)) images++;
  if (images > 0) return images;
  throw new Error(`Cannot open webdataset: the ${split} shards must hold images, got none`);
}
