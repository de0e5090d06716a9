/** Parquet files with a column of encoded images, the format of data sets on public hubs. */
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import type { EncodedImage } from "./encoded.ts";
import type { ParquetColumn } from "./formats/parquet.ts";
import { parseJson } from "../files/bounded_json.ts";
import { fileAccess, webAccess } from "./formats/random_access.ts";
import { type DatasetKind, type OpenOptions, squareInColour } from "./kind.ts";
import { loadOnDemand } from "./on_demand.ts";
import {
  findShards,
  isAddress,
  shardName,
  type StreamedSettings,
  streamedSettings,
} from "./shards.ts";
import { openStreamed, type Shard } from "./streamed.ts";

/** The settings of `parquet`. */
export interface ParquetSettings extends StreamedSettings {
  /** The column of the images. */
  readonly column: string;
  /** The column of the classes. */
  readonly label: string | null;
}

/** `parquet` in the registry: `[size, size, 3]`. A shard is a row group: its columns of images and classes are read
 * whole, from the web by range requests. The names of the classes come from the metadata of the Hugging Face hub's
 * files. */
export const parquetKind: DatasetKind<ParquetSettings> = {
  schema: z.strictObject({
    column: z.string().min(1).default("image")
      .describe("the column of the images: bytes, or structures with a field bytes"),
    label: z.string().min(1).nullable().default(null)
      .describe("the column of the images' classes, whole numbers from 0; none: without classes"),
    ...streamedSettings(
      "files (.parquet)",
      "as many as the files say",
      "the number of classes in the column --data.label; none: as many as the files name",
    ),
  }),
  imageShape: squareInColour,
  open: openParquet,
};

async function openParquet(settings: ParquetSettings, options: OpenOptions): Promise<Dataset> {
  const train = await rowGroups(
    await findShards(settings.train, "--data.train", ".parquet"),
    settings,
  );
  const test = await rowGroups(
    await findShards(settings.test, "--data.test", ".parquet"),
    settings,
  );
  const classes = settings.label === null ? undefined : classesOf(train, settings);
  const sizes = {
    train: settings.trainImages ?? train.rows,
    test: settings.testImages ?? test.rows,
  };
  const shards = { train: train.shards, test: test.shards };
  return await openStreamed(
    { name: `parquet ${train.name}`, shards, sizes, classes, settings },
    options,
  );
}

/** The row groups of files. */
interface RowGroups {
  /** The name of the data set. */
  readonly name: string;
  /** One shard per row group. */
  readonly shards: readonly Shard[];
  /** The total number of rows. */
  readonly rows: number;
  /** The hub libraries' metadata in the first file. */
  readonly hub: string | undefined;
}

/** The names of the classes: those stored in the file, or else their numbers.
 * @throws {RangeError} the number of classes is not known
 */
function classesOf(
  { name, hub }: RowGroups,
  { label, classes }: ParquetSettings,
): readonly string[] {
  const noted = hub === undefined ? undefined : HUB.safeParse(parseJson(hub, name)).data;
  const names = noted?.info.features[label!]?.names;
  if (names !== undefined && (classes ?? names.length) === names.length) return names;
  if (classes !== null) return [...Array(classes).keys()].map(String);
  throw new RangeError(
    `Cannot open ${name}: --data.classes must give the number of classes of the column ${label}, as the file does not name them, got none`,
  );
}

/** The part of the hub libraries' metadata that names classes. */
const HUB = z.object({
  info: z.object({
    features: z.record(
      z.string(),
      z.object({ names: z.array(z.string()).min(1).optional() }).catch({}),
    ),
  }),
});

/** The row groups of files; the files' footers stay in memory. */
async function rowGroups(
  names: readonly string[],
  { column, label }: ParquetSettings,
): Promise<RowGroups> {
  const { openParquetColumn } = await loadOnDemand(
    "formats/parquet.ts",
  ) as typeof import("./formats/parquet.ts");
  const shards: Shard[] = [];
  let rows = 0, hub: string | undefined;
  for (const name of names) {
    const access = isAddress(name) ? await webAccess(name) : await fileAccess(name);
    const images = await openParquetColumn(access, column, name);
    const labels = label === null
      ? undefined
      : await openParquetColumn(access, label, name, "integers");
    hub ??= images.hub;
    for (const [group, count] of images.rows.entries()) {
      shards.push({ images: () => imagesOf(images, labels, group, name) });
      rows += count;
    }
  }
  if (rows > 0) return { name: shardName(names[0]), shards, rows, hub };
  throw new RangeError(`Cannot open parquet: ${names.join(", ")} must have rows, got none`);
}

async function* imagesOf(
  images: ParquetColumn,
  labels: ParquetColumn | undefined,
  group: number,
  name: string,
): AsyncGenerator<EncodedImage> {
  const told = labels?.read(group);
  let row = 0;
  for await (const bytes of images.read(group)) {
    const label = await told?.next();
    yield {
      name: `row ${row++} of row group ${group} of ${name}`,
      bytes,
      label: label?.done === false ? integerOf(label.value) : undefined,
    };
  }
}

/** A little-endian integer of 4 or 8 bytes; undefined without a value. */
function integerOf(bytes: Uint8Array<ArrayBuffer>): number | undefined {
  if (bytes.length === 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return bytes.length === 4 ? view.getInt32(0, true) : Number(view.getBigInt64(0, true));
}
