/** WebDataset: tar archives of images, local or on the web (Aizman et al. 2019, arXiv 2001.01858). */
import { open } from "node:fs/promises";
import * as z from "zod";
import type { Dataset, Split } from "./dataset.ts";
import type { EncodedImage } from "./encoded.ts";
import { isImageName } from "./folder.ts";
import { FileSource, StreamSource } from "./formats/byte_source.ts";
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

/** Most bytes of an image that is held in memory. */
const MOST_BYTES = 2 ** 27;

/** `webdataset` in the registry: `[size, size, 3]`. Every file of a shard that is named like an image is one; what
 * stands beside it (labels, captions) is left out. Shards on the web are streamed, never kept, and their images cannot
 * be counted without: how many there are must be said. */
export const webdatasetKind: DatasetKind<StreamedSettings> = {
  schema: z.strictObject(
    streamedSettings("shards (.tar)", "counted, which only shards in files can be"),
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
  const shards = { train: named.train.map(shardOf), test: named.test.map(shardOf) };
  const name = `webdataset ${shardName(named.train[0])}`;
  return await openStreamed({ name, shards, sizes, settings }, options);
}

function shardOf(name: string): Shard {
  return { images: () => isAddress(name) ? imagesOnTheWeb(name) : imagesInFile(name) };
}

/** Where the images of a shard in a file lie; the decoders read them there. */
async function* imagesInFile(path: string): AsyncGenerator<EncodedImage> {
  await regularSize(path);
  const file = await open(path);
  try {
    const source = new FileSource(file, (await file.stat()).size);
    for await (const { name, size, offset } of readTar(source, path)) {
      if (isImageName(name)) yield { name: `${name} of ${path}`, path, offset, length: size };
    }
  } finally {
    await file.close();
  }
}

async function* imagesOnTheWeb(address: string): AsyncGenerator<EncodedImage> {
  const response = await fetch(address);
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Error(`Cannot read ${address}: the server must give it, got ${response.status}`);
  }
  const source = new StreamSource(response.body);
  try {
    for await (const { name, size } of readTar(source, address)) {
      if (!isImageName(name)) continue;
      if (size > MOST_BYTES) {
        throw new RangeError(
          `Cannot read ${address}: an image must have at most ${MOST_BYTES} bytes, got ${size} in ${name}`,
        );
      }
      const bytes = await source.read(size);
      yield { name: `${name} of ${address}`, bytes };
    }
  } finally {
    await source.close();
  }
}

/** Counts the images of shards in files. */
async function count(names: readonly string[], split: Split): Promise<number> {
  const onTheWeb = names.find(isAddress);
  if (onTheWeb !== undefined) {
    throw new RangeError(
      `Cannot open webdataset: --data.${split}Images must give the number of images in the shards on the web, got none for ${onTheWeb}`,
    );
  }
  let images = 0;
  for (const name of names) for await (const _ of imagesInFile(name)) images++;
  if (images > 0) return images;
  throw new Error(`Cannot open webdataset: the ${split} shards must hold images, got none`);
}
