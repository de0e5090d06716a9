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

/** The maximum unpacked size of a file in bytes; MNIST's largest has 47,040,016. */
const MOST_BYTES = 2 ** 26;

/** The files of a data set in IDX format. */
export interface IdxFiles {
  /** The image file of each part. */
  readonly images: Readonly<Record<Split, RemoteFile>>;
  /** The label file of each part. */
  readonly labels: Readonly<Record<Split, RemoteFile>>;
}

/** A data set of gzipped IDX files: one with the images and one with the classes of each part.
 * @param name the name of the data set
 * @param classes the names of the classes, by their numbers
 */
export function idxKind(
  name: string,
  files: IdxFiles,
  classes: readonly string[],
): DatasetKind<DownloadSettings> {
  return {
    schema: z.strictObject({ root: rootSetting }),
    imageShape: () => [28, 28, 1],
    open: async ({ root }, options) => await openIdx(name, files, classes, dataRoot(root), options),
  };
}

async function openIdx(
  name: string,
  files: IdxFiles,
  classes: readonly string[],
  folder: string,
  options: OpenOptions,
): Promise<Dataset> {
  const read = async (file: RemoteFile, what: string, axes: number) => {
    const path = await haveFile(file, folder, options);
    const { shape, values } = readIdx(await unpackWhole(path), path);
    if (shape.length === axes) return { shape, values };
    throw new RangeError(
      `Cannot read ${path}: it must hold ${what}, got ${shape.length} axes`,
    );
  };
  const images = async (split: Split) => await read(files.images[split], "images, three axes", 3);
  const labels = async (split: Split) =>
    Int32Array.from((await read(files.labels[split], "classes, one axis", 1)).values);
  const train = await images("train"), test = await images("test");
  const [height, width] = train.shape.slice(1);
  if (test.shape[1] !== height || test.shape[2] !== width) {
    throw new RangeError(
      `Cannot open ${name}: its test images must be ${height}×${width} as its training images are, got ${
        test.shape[1]
      }×${test.shape[2]}`,
    );
  }
  const imageShape = [height, width, 1] as const;
  return byteDataset({
    ...{ name, imageShape, train: train.values, test: test.values },
    labels: { train: await labels("train"), test: await labels("test") },
    classes,
  });
}

async function unpackWhole(path: string): Promise<Uint8Array> {
  return await new StreamSource(unpackFile(path, MOST_BYTES)).read(MOST_BYTES);
}

/** A file of a data set.
 * @param folder the folder of the data set
 * @param mirrors base addresses, to which the file's name is appended
 */
function remoteFile(
  folder: string,
  mirrors: readonly string[],
  file: string,
  bytes: number,
  md5: string,
): RemoteFile {
  const name = `${file}-ubyte.gz`;
  return { path: `${folder}/${name}`, addresses: mirrors.map((at) => at + name), bytes, md5 };
}

const mnist = (file: string, bytes: number, md5: string) =>
  remoteFile(
    "mnist",
    [
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ],
    file,
    bytes,
    md5,
  );

const fashion = (file: string, bytes: number, md5: string) =>
  remoteFile(
    "fashion-mnist",
    [
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ],
    file,
    bytes,
    md5,
  );

/** `mnist` in the registry: `[28, 28, 1]`, 60,000 training and 10,000 test images of ten classes. */
export const mnistKind: DatasetKind<DownloadSettings> = idxKind("mnist", {
  images: {
    train: mnist("train-images-idx3", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    test: mnist("t10k-images-idx3", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
  },
  labels: {
    train: mnist("train-labels-idx1", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
    test: mnist("t10k-labels-idx1", 4542, "ec29112dd5afa0611ce80d1b7f02629c"),
  },
}, [...new Array(10).keys()].map(String));

/** `fashion-mnist` in the registry: `[28, 28, 1]`, 60,000 training and 10,000 test images of ten classes. */
export const fashionMnistKind: DatasetKind<DownloadSettings> = idxKind("fashion-mnist", {
  images: {
    train: fashion("train-images-idx3", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    test: fashion("t10k-images-idx3", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
  },
  labels: {
    train: fashion("train-labels-idx1", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
    test: fashion("t10k-labels-idx1", 5148, "bb300cfdad3c16e7a12a480ee83cd310"),
  },
}, [
  ...["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"],
  ...["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
]);
