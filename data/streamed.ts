/** Data sets in shards, each read from start to end. */
import { permutation, type RandomKey, randomKey } from "../core/random.ts";
import { BrokenImages } from "./broken.ts";
import { byteVariance, scaleBytes } from "./bytes.ts";
import {
  checkIndices,
  type Dataset,
  type SequenceBatch,
  type SequenceOptions,
  type Split,
} from "./dataset.ts";
import { MEASURED } from "./decoded.ts";
import { BrokenImage, ImageDecoder } from "./decoder.ts";
import { CENTRED, drawPlacement, type EncodedImage } from "./encoded.ts";
import type { OpenOptions } from "./kind.ts";
import type { StreamedSettings } from "./shards.ts";
import { shuffled } from "./shuffle_buffer.ts";

/** A file with some of the images of a part. */
export interface Shard {
  /** Yields its images in order. May be called repeatedly. */
  images(): AsyncIterable<EncodedImage>;
}

/** Options of `openStreamed`. */
export interface StreamedDatasetOptions {
  /** The name of the data set. */
  readonly name: string;
  /** The shards of each part. */
  readonly shards: Readonly<Record<Split, readonly Shard[]>>;
  /** The minimum number of images in each part; no more than this are read. */
  readonly sizes: Readonly<Record<Split, number>>;
  /** The names of the classes, if every image has a label. */
  readonly classes?: readonly string[];
  /** How the images are decoded and ordered. */
  readonly settings: StreamedSettings;
}

type Values = Float32Array<ArrayBuffer>;

/** A decoded image. */
interface DecodedImage {
  readonly bytes: Uint8Array;
  readonly label?: number;
}

/** Which images of a batch to decode, and how. */
interface DecodeOptions {
  /** The position of the batch's first image in the sequence; by default 0. */
  readonly first?: number;
  /** The first image to return; by default the first of the batch. */
  readonly from?: number;
  /** The end of the images to return; by default the end of the batch. */
  readonly to?: number;
  /** The key of the crops and flips. */
  readonly key?: RandomKey;
}

/** The maximum number of shards used to measure the variance; each has to be opened. */
const MEASURED_SHARDS = 16;

class StreamedDataset implements Dataset {
  readonly name: string;
  readonly imageShape: readonly [number, number, number];
  readonly sizes: Readonly<Record<Split, number>>;
  readonly classes: Dataset["classes"];
  variance = NaN;
  readonly #shards: Readonly<Record<Split, readonly Shard[]>>;
  readonly #settings: StreamedSettings;
  readonly #decoder: ImageDecoder;
  readonly #broken: BrokenImages;

  constructor(
    { name, shards, sizes, classes, settings }: StreamedDatasetOptions,
    options: OpenOptions,
  ) {
    const { size, brokenLimit, workers } = settings;
    this.name = name;
    this.imageShape = [size, size, 3];
    this.sizes = sizes;
    this.classes = classes;
    this.#shards = shards;
    this.#settings = settings;
    this.#decoder = new ImageDecoder({ size, background: 255 }, workers);
    this.#broken = new BrokenImages(name, brokenLimit, options);
  }

  /** Measures the variance. */
  async measure(): Promise<this> {
    const measured = this.sizes.train > MEASURED
      ? await this.#spread()
      : await Array.fromAsync(this.#encoded("train"));
    const decoded = await this.#decode("train", measured);
    this.variance = byteVariance(decoded.map(({ bytes }) => bytes));
    return this;
  }

  /** The first images of evenly spaced shards, since sets are often sorted. */
  async #spread(): Promise<EncodedImage[]> {
    const { train } = this.#shards;
    const opened = Math.min(train.length, MEASURED_SHARDS);
    const measured: EncodedImage[] = [];
    for (let place = 0; place < opened; place++) {
      const shard = train[Math.floor(place * train.length / opened)];
      const enough = Math.round((place + 1) * MEASURED / opened);
      if (measured.length >= enough) continue;
      for await (const image of shard.images()) {
        if (measured.push(image) >= enough) break;
      }
    }
    return measured;
  }

  async images(split: Split, indices: Int32Array): Promise<Values> {
    checkIndices(this, split, indices);
    const places = Map.groupBy(indices.keys(), (place) => indices[place]);
    const last = indices.reduce((last, index) => Math.max(last, index), -1);
    const found: EncodedImage[] = [], foundAt: number[][] = [];
    let index = 0;
    for await (const image of last < 0 ? [] : this.#encoded(split)) {
      const wanted = places.get(index);
      if (wanted !== undefined) {
        found.push(image);
        foundAt.push(wanted);
      }
      if (index++ === last) break;
    }
    const [size] = this.imageShape;
    const values = new Float32Array(indices.length * size * size * 3);
    (await this.#decode(split, found)).forEach(({ bytes }, image) => {
      for (const place of foundAt[image]) scaleBytes(bytes, values, place * size * size * 3);
    });
    return values;
  }

  async *sequence(
    split: Split,
    { batchSize, wanted = (_, count) => [0, count], key }: SequenceOptions,
  ): AsyncGenerator<SequenceBatch> {
    let number = 0;
    for await (const batch of batched(this.#encoded(split, key), batchSize)) {
      const first = number * batchSize, [from, to] = wanted(number, batch.length);
      if (from < to) yield await this.#values(split, batch, { first, from, to, key });
      number++;
    }
  }

  /** The images of a part, still encoded: shards in random order, images through a shuffle buffer. */
  async *#encoded(split: Split, key?: RandomKey): AsyncGenerator<EncodedImage> {
    const shards = this.#shards[split];
    const order = key === undefined ? shards.keys() : permutation(key, shards.length);
    const inOrder = async function* () {
      for (const shard of order) yield* shards[shard].images();
    };
    const images = key === undefined
      ? inOrder()
      : shuffled(inOrder(), this.#settings.shuffleBuffer, buffered(key));
    let given = 0;
    for await (const image of images) {
      this.#checkLabel(image);
      yield image;
      if (++given === this.sizes[split]) return;
    }
    throw new Error(
      `Cannot read ${this.name}: the ${split} shards must hold ${
        this.sizes[split]
      } images, got ${given}`,
    );
  }

  #checkLabel({ name, label }: EncodedImage): void {
    const classes = this.classes?.length;
    if (classes === undefined || (label !== undefined && label >= 0 && label < classes)) return;
    throw new RangeError(
      `Cannot read ${name}: it must have a class from 0 to ${classes - 1}, got ${label ?? "none"}`,
    );
  }

  async #values(
    split: Split,
    images: readonly EncodedImage[],
    options: DecodeOptions,
  ): Promise<SequenceBatch> {
    const [size] = this.imageShape;
    const decoded = await this.#decode(split, images, options);
    const values = new Float32Array(decoded.length * size * size * 3);
    const labels = this.classes && new Int32Array(decoded.length);
    decoded.forEach(({ bytes, label }, place) => {
      scaleBytes(bytes, values, place * size * size * 3);
      if (labels !== undefined) labels[place] = label!;
    });
    return { images: values, labels };
  }

  /** Decodes some of the images of a batch. The next intact image of the batch, wrapping around at the end, replaces a
   * broken image and its label, even if the intact one was not requested. So the contents of later batches are known
   * without decoding. */
  async #decode(
    split: Split,
    batch: readonly EncodedImage[],
    { first = 0, from = 0, to = batch.length, key }: DecodeOptions = {},
  ): Promise<DecodedImage[]> {
    const augment = key === undefined || split === "test" ? undefined : augmented(key);
    const decode = async (places: readonly number[]) => {
      const results = await this.#decoder.decode(
        places.map((place) => batch[place]),
        places.map((place) =>
          augment === undefined ? CENTRED : drawPlacement(augment, first + place, this.#settings)
        ),
      );
      return results.map((result, at): DecodedImage | undefined => {
        if (!(result instanceof BrokenImage)) {
          return { bytes: result, label: batch[places[at]].label };
        }
        this.#broken.leaveOut(result);
      });
    };
    const places = batch.map((_, place) => (from + place) % batch.length);
    const results = await decode(places.slice(0, to - from));
    let whole = results.at(-1);
    for (const place of places.slice(to - from)) {
      if (whole !== undefined) break;
      [whole] = await decode([place]);
    }
    whole ??= results.find((result) => result !== undefined);
    return results.toReversed().map((result) => {
      whole = result ?? whole;
      if (whole === undefined) throw this.#broken.allBroken(split);
      return whole;
    }).reverse();
  }
}

/** Groups items into batches; the last batch may be smaller. */
async function* batched<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    if (batch.push(item) < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** The key of the shuffle buffer, different from the key of the order of the shards. */
const buffered = ({ seed, step }: RandomKey): RandomKey => randomKey(seed, "shuffle buffer", step);
/** The key of crops and flips. */
const augmented = ({ seed, step }: RandomKey): RandomKey => randomKey(seed, "augment", step);

/** Opens a data set of shards: `[size, size, 3]`, with a white background behind transparency. Memory holds the encoded
 * images in the shuffle buffer (or only their positions, if the shard is a file), what the current shard needs, the
 * current batches, and one image per thread.
 *
 * The order of an epoch depends only on the seed and the epoch: the shards in random order, then the images through the
 * buffer. If several processes share the batches, each goes through the whole sequence and decodes only its own part.
 * From a local tar file, it reads only the headers of the other images. A resumed run reads the epoch's shards again
 * from the first, and skips the images already used without decoding them.
 * @throws {Error} a part has no shard, or a shard cannot be read
 */
export async function openStreamed(
  made: StreamedDatasetOptions,
  options: OpenOptions,
): Promise<Dataset> {
  return await new StreamedDataset(made, options).measure();
}
