/** Images as a model takes them: sizes, colour, orientation, transparency, broken files. */
import assert from "node:assert/strict";
import { encode } from "fast-png";
import sharp from "sharp";
import { batchesBySize, listImages, readBatch } from "../../data/image_batches.ts";
import type { BrokenFileError } from "../../data/image_file.ts";
import { encodePng } from "../../data/image_png.ts";
import { readPng } from "../../data/formats/png.ts";
import { picture, testInFolder, writeFiles } from "./pictures.ts";

const grey = (height: number, width: number) =>
  encode({
    ...{ width, height, channels: 1 },
    data: Uint8Array.from({ length: height * width }, (_, at) => at),
  });
const values = (...bytes: number[]) => Float32Array.from(bytes, (byte) => 2 * byte / 255 - 1);
const RULES = { divisor: 4, crop: false };

testInFolder(
  "images in nested folders are found in order, with their sizes",
  async (folder) => {
    await writeFiles(folder, { "b.png": grey(4, 8), "a/c.webp": await webp(), "note.txt": "x" });
    const { images } = await listImages(folder, RULES);
    assert.deepEqual(
      images.map(({ name, height, width, isGrey }) => [name, height, width, isGrey]),
      [["a/c.webp", 8, 4, false], ["b.png", 4, 8, true]],
    );
    const single = await listImages(`${folder}/b.png`, RULES);
    assert.deepEqual([single.folder, single.images[0].name], [folder, "b.png"]);
  },
);

const webp = () =>
  sharp({ create: { width: 4, height: 8, channels: 3, background: "#ff0000" } })
    .webp({ lossless: true }).toBuffer();

testInFolder(
  "images with sides that do not divide are reported, or their centre is cropped",
  async (folder) => {
    await writeFiles(folder, { "a.png": grey(6, 11) });
    await assert.rejects(
      listImages(folder, RULES),
      /^RangeError: Cannot encode .*a\.png: the sides of an image must be divisible by 4, got 6×11 \(h/,
    );
    const { images } = await listImages(folder, { ...RULES, crop: true });
    const batch = await readBatch(images, 1, {});
    assert.deepEqual(batch!.shape, [1, 4, 8, 1]);
    const rows = [1, 2, 3, 4].flatMap((y) => [1, 2, 3, 4, 5, 6, 7, 8].map((x) => 11 * y + x));
    assert.deepEqual(batch!.values, values(...rows));
    await assert.rejects(
      listImages(folder, { divisor: 8, crop: true }),
      /the sides of an image must be at least 8, got 6×11 \(height×width\)$/,
    );
  },
);

testInFolder(
  "grey is converted to colour, colour to grey, and transparency to white",
  async (folder) => {
    const half = {
      width: 4,
      height: 4,
      channels: 4 as const,
      background: { r: 0, g: 0, b: 0, alpha: 0 },
    };
    await writeFiles(folder, {
      "a.png": grey(4, 4),
      "b.png": await picture(3, 4, 4),
      "c.png": new Uint8Array(await sharp({ create: half }).png().toBuffer()),
    });
    const { images } = await listImages(folder, RULES);
    const colour = (await readBatch(images, 3, {}))!;
    assert.deepEqual(colour.values.slice(0, 6), values(0, 0, 0, 1, 1, 1));
    assert.deepEqual(colour.values.slice(48, 51), values(75, 0, 0));
    assert.deepEqual(new Set(colour.values.slice(96)), new Set([1]));
    const greys = (await readBatch(images, 1, {}))!;
    assert.deepEqual(greys.values.slice(0, 3), values(0, 1, 2));
    assert.equal(new Set(greys.values.slice(16, 32)).size, 1);
    assert.ok(greys.values[16] > -1 && greys.values[16] < values(75)[0]);
    assert.deepEqual(new Set(greys.values.slice(32)), new Set([1]));
  },
);

testInFolder("photographs stored sideways are turned upright", async (folder) => {
  const image = sharp(Uint8Array.from({ length: 32 }, (_, at) => at < 16 ? 0 : 255), {
    raw: { width: 8, height: 4, channels: 1 },
  });
  const bytes = await image.withMetadata({ orientation: 6 }).png().toBuffer();
  await writeFiles(folder, { "a.png": new Uint8Array(bytes) });
  const { images } = await listImages(folder, RULES);
  const batch = (await readBatch(images, 1, {}))!;
  assert.deepEqual(batch.shape, [1, 8, 4, 1]);
  assert.deepEqual(batch.values.slice(0, 4), values(255, 255, 0, 0));
});

testInFolder("a broken image is reported by name, or skipped", async (folder) => {
  const bytes = grey(64, 64), torn = bytes.slice(0, bytes.length - 40);
  await writeFiles(folder, { "a.png": "no image", "b.png": torn, "c.png": grey(64, 64) });
  await assert.rejects(
    listImages(folder, RULES),
    /^RangeError: Cannot read .*a\.png: it must/,
  );
  const left: string[] = [];
  const onBroken = ({ message }: BrokenFileError) => left.push(message);
  const { images } = await listImages(folder, { ...RULES, onBroken });
  assert.deepEqual(images.map(({ name }) => name), ["b.png", "c.png"]);
  await assert.rejects(
    readBatch(images, 1, {}),
    /^RangeError: Cannot read .*b\.png: it must be/,
  );
  const batch = await readBatch(images, 1, { onBroken });
  assert.deepEqual(batch!.images.map(({ name }) => name), ["c.png"]);
  assert.deepEqual(batch!.shape, [1, 64, 64, 1]);
  assert.equal(await readBatch(images.slice(0, 1), 1, { onBroken }), undefined);
  assert.equal(left.length, 3);
  await assert.rejects(
    listImages(`${folder}/none`, RULES),
    /must be a folder or an image, got ENO/,
  );
  await Deno.mkdir(`${folder}/empty`);
  await assert.rejects(listImages(`${folder}/empty`, RULES), /must hold images .*, got none$/);
  const only = listImages(`${folder}/a.png`, { ...RULES, onBroken });
  await assert.rejects(only, /must hold images .*, got only broken ones$/);
});

Deno.test("each batch has images of one size and about a million pixels", () => {
  const item = (side: number) => ({ height: side, width: side });
  const sizes = (sides: readonly number[], size: number | null) =>
    batchesBySize(sides.map(item), size).map((batch) => batch.map(({ height }) => height));
  assert.deepEqual(sizes([8, 4, 8, 8, 4], 2), [[8, 8], [8], [4, 4]]);
  assert.deepEqual(sizes([512, 512, 512, 512, 512], null), [[512, 512, 512, 512], [512]]);
  assert.deepEqual(sizes([4096, 4096], null), [[4096], [4096]]);
  assert.deepEqual(sizes(new Array(129).fill(4), null).map(({ length }) => length), [128, 1]);
});

Deno.test("pictures have the nearest byte for each value", () => {
  const png = encodePng(Float32Array.of(-1.5, -1, 0, 0.99, 1, 3), [1, 2, 3]);
  assert.deepEqual([...readPng(png, 2, 1, "it").data], [0, 0, 128, 254, 255, 255]);
  assert.throws(
    () => encodePng(new Float32Array(4), [1, 2, 2]),
    /Cannot write a PNG: .*2 channels$/,
  );
});
