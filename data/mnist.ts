/** MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): 70,000 grey images, 28×28. */
import * as z from "zod";
import { byteDataset } from "./bytes.ts";
import type { Dataset, Split } from "./dataset.ts";
import {
  dataRoot,
  type DownloadSettings,
  haveFile,
  type RemoteFile,
  rootSetting,
} from "./download.ts";
import { StreamSource } from "./formats/byte_source.ts";
import { unpackFile } from "./formats/gzip.ts";
import { readIdx } from "./formats/idx.ts";
import type { DatasetKind, OpenOptions } from "./kind.ts";

/** Most bytes that a file unpacks to; MNIST's larger one has 47,040,016. */
const MOST_BYTES = 2 ** 26;

/** A data set of two gzipped IDX files of images.
 * @param name the data set's
 * @param files of its parts
 */
export function idxKind(
  name: string,
  files: Readonly<Record<Split, RemoteFile>>,
): DatasetKind<DownloadSettings> {
  return {
    schema: z.strictObject({ root: rootSetting }),
    imageShape: () => [28, 28, 1],
    open: async ({ root }, options) => await openIdx(name, files, dataRoot(root), options),
  };
}

async function openIdx(
  name: string,
  files: Readonly<Record<Split, RemoteFile>>,
  folder: string,
  options: OpenOptions,
): Promise<Dataset> {
  const read = async (file: RemoteFile) => {
    const path = await haveFile(file, folder, options);
    const { shape, values } = readIdx(await unpackWhole(path), path);
    if (shape.length === 3) return { shape, values };
    throw new RangeError(
      `Cannot read ${path}: it must hold images, three axes, got ${shape.length} axes`,
    );
  };
  const train = await read(files.train), test = await read(files.test);
  const [height, width] = train.shape.slice(1);
  if (test.shape[1] !== height || test.shape[2] !== width) {
    throw new RangeError(
      `Cannot open ${name}: its test images must be ${height}×${width} as its training images are, got ${
        test.shape[1]
      }×${test.shape[2]}`,
    );
  }
  const imageShape = [height, width, 1] as const;
  return byteDataset({ name, imageShape, train: train.values, test: test.values });
}

async function unpackWhole(path: string): Promise<Uint8Array> {
  return await new StreamSource(unpackFile(path, MOST_BYTES)).read(MOST_BYTES);
}

/** The file of images of a part.
 * @param folder of the data set
 * @param mirrors addresses that the file's name is put behind
 */
function imagesFile(
  folder: string,
  mirrors: readonly string[],
  part: "train" | "t10k",
  bytes: number,
  md5: string,
): RemoteFile {
  const name = `${part}-images-idx3-ubyte.gz`;
  return { path: `${folder}/${name}`, addresses: mirrors.map((at) => at + name), bytes, md5 };
}

const MNIST = [
  "https://storage.googleapis.com/cvdf-datasets/mnist/",
  "https://ossci-datasets.s3.amazonaws.com/mnist/",
];

const FASHION = [
  "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
  "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
];

/** `mnist` in the registry: `[28, 28, 1]`, 60,000 training and 10,000 test images. */
export const mnistKind: DatasetKind<DownloadSettings> = idxKind("mnist", {
  train: imagesFile("mnist", MNIST, "train", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
  test: imagesFile("mnist", MNIST, "t10k", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
});

/** `fashion-mnist` in the registry: `[28, 28, 1]`, 60,000 training and 10,000 test images. */
export const fashionMnistKind: DatasetKind<DownloadSettings> = idxKind("fashion-mnist", {
  train: imagesFile(
    "fashion-mnist",
    FASHION,
    "train",
    26_421_880,
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
  ),
  test: imagesFile("fashion-mnist", FASHION, "t10k", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
});
