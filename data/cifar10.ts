/** CIFAR-10 (Krizhevsky 2009, "Learning multiple layers of features from tiny images"): 60,000 colour images, 32×32. */
import * as z from "zod";
import { byteDataset } from "./bytes.ts";
import type { Dataset } from "./dataset.ts";
import {
  dataRoot,
  type DownloadSettings,
  haveFile,
  type RemoteFile,
  rootSetting,
} from "./download.ts";
import { StreamSource } from "./formats/byte_source.ts";
import { type CifarBatch, readCifar } from "./formats/cifar.ts";
import { unpackFile } from "./formats/gzip.ts";
import { readTar } from "./formats/tar.ts";
import type { DatasetKind, OpenOptions } from "./kind.ts";

/** The maximum unpacked size of the archive in bytes; the original has slightly more than 184,320,000. */
const MOST_BYTES = 2 ** 28;
const TRAIN = [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`);
const TEST = "test_batch.bin";
const CLASSES = [
  ...["airplane", "automobile", "bird", "cat", "deer"],
  ...["dog", "frog", "horse", "ship", "truck"],
];

/** A data set in the format of CIFAR-10's binary archive. */
export function cifarKind(name: string, archive: RemoteFile): DatasetKind<DownloadSettings> {
  return {
    schema: z.strictObject({ root: rootSetting }),
    imageShape: () => [32, 32, 3],
    open: async ({ root }, options) => await openCifar(name, archive, dataRoot(root), options),
  };
}

async function openCifar(
  name: string,
  archive: RemoteFile,
  folder: string,
  options: OpenOptions,
): Promise<Dataset> {
  const path = await haveFile(archive, folder, options);
  const source = new StreamSource(unpackFile(path, MOST_BYTES));
  const batches = new Map<string, CifarBatch>();
  for await (const entry of readTar(source, path)) {
    const file = entry.name.split("/").at(-1)!;
    if (file === TEST || TRAIN.includes(file)) {
      batches.set(file, readCifar(await source.read(entry.size), `${file} of ${path}`));
    }
  }
  const missing = [...TRAIN, TEST].filter((file) => !batches.has(file));
  if (missing.length > 0) {
    throw new RangeError(
      `Cannot read ${path}: it must hold ${TEST} and ${TRAIN.join(", ")}, got no ${
        missing.join(", no ")
      }`,
    );
  }
  const parts = TRAIN.map((file) => batches.get(file)!), test = batches.get(TEST)!;
  const train = await new Blob(parts.map(({ images }) => images)).bytes();
  const labels = {
    train: Int32Array.from(parts.flatMap((part) => [...part.labels])),
    test: Int32Array.from(test.labels),
  };
  const imageShape = [32, 32, 3] as const;
  return byteDataset({ name, imageShape, train, test: test.images, labels, classes: CLASSES });
}

/** `cifar10` in the registry: `[32, 32, 3]`, 50,000 training and 10,000 test images. */
export const cifar10Kind: DatasetKind<DownloadSettings> = cifarKind("cifar10", {
  path: "cifar10/cifar-10-binary.tar.gz",
  addresses: ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
  bytes: 170_052_171,
  md5: "c32a1d4ab5d03f1284b67883e8d87530",
});
