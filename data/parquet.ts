/** Parquet files with a column of encoded images, as the public hubs keep data sets. */
import * as z from "zod";
import type { Dataset } from "./dataset.ts";
import type { EncodedImage } from "./encoded.ts";
import type { ParquetColumn } from "./formats/parquet.ts";
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
}

/** `parquet` in the registry: `[size, size, 3]`. A shard is a row group: it is read whole, its column of images alone,
 * from the web by requests for ranges. */
export const parquetKind: DatasetKind<ParquetSettings> = {
  schema: z.strictObject({
    column: z.string().min(1).default("image")
      .describe("the column of the images: bytes, or structures with a field bytes"),
    ...streamedSettings("files (.parquet)", "as many as the files say"),
  }),
  imageShape: squareInColour,
  open: openParquet,
};

async function openParquet(settings: ParquetSettings, options: OpenOptions): Promise<Dataset> {
  const { column } = settings;
  const train = await rowGroups(
    await findShards(settings.train, "--data.train", ".parquet"),
    column,
  );
  const test = await rowGroups(await findShards(settings.test, "--data.test", ".parquet"), column);
  const sizes = {
    train: settings.trainImages ?? train.rows,
    test: settings.testImages ?? test.rows,
  };
  const shards = { train: train.shards, test: test.shards };
  return await openStreamed({ name: `parquet ${train.name}`, shards, sizes, settings }, options);
}

/** The row groups of files, and how many rows they have together; the files' footers stay in memory. */
async function rowGroups(
  names: readonly string[],
  column: string,
): Promise<{ name: string; shards: Shard[]; rows: number }> {
  const { openParquetColumn } = await loadOnDemand(
    "formats/parquet.ts",
  ) as typeof import("./formats/parquet.ts");
  const shards: Shard[] = [];
  let rows = 0;
  for (const name of names) {
    const access = isAddress(name) ? await webAccess(name) : await fileAccess(name);
    const file = await openParquetColumn(access, column, name);
    for (const [group, count] of file.rows.entries()) {
      shards.push({ images: () => imagesOf(file, group, name) });
      rows += count;
    }
  }
  if (rows > 0) return { name: shardName(names[0]), shards, rows };
  throw new RangeError(`Cannot open parquet: ${names.join(", ")} must have rows, got none`);
}

async function* imagesOf(
  file: ParquetColumn,
  group: number,
  name: string,
): AsyncGenerator<EncodedImage> {
  let row = 0;
  for await (const bytes of file.read(group)) {
    yield { name: `row ${row++} of row group ${group} of ${name}`, bytes };
  }
}
