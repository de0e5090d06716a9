import assert from "node:assert/strict";
import { join } from "node:path";
import { trainingBatches } from "../../data/batches.ts";
import { classCount } from "../../data/dataset.ts";
import { holdOut } from "../../data/held_out.ts";
import { openDataset } from "../../data/registry.ts";
import {
  messageOf,
  numbersIn,
  numbersOf,
  picture,
  testInFolder,
  writeFiles,
  writePictures,
} from "./pictures.ts";

const few = { name: "image-folder", size: 4, workers: 2 };

testInFolder(
  "images are found in all folders, in the order of their paths, and a tenth is for testing",
  async (path) => {
    const names = Array.from({ length: 12 }, (_, index) => `${index % 3}/deep/${index + 10}.png`);
    await writePictures(path, [...names].sort());
    await writeFiles(path, {
      "notes.txt": "no image",
      ".hidden.png": "none",
      "0/.git/1.png": "none",
    });
    const dataset = await openDataset({ ...few, path });
    assert.equal(dataset.name, `image-folder ${path.split("/").at(-1)}`);
    assert.deepEqual(dataset.imageShape, [4, 4, 3]);
    assert.deepEqual(await numbersOf(dataset, "train"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]);
    assert.deepEqual(await numbersOf(dataset, "test"), [9]);
  },
);

testInFolder("folders named train and test, or val, become these parts", async (path) => {
  await writePictures(path, ["train/b.png", "train/a/c.png", "val/a.png"]);
  const dataset = await openDataset({ ...few, path });
  assert.deepEqual(await numbersOf(dataset, "train"), [1, 0]);
  assert.deepEqual(await numbersOf(dataset, "test"), [2]);
});

testInFolder("folders are classes if every image is in one", async (path) => {
  const names = ["train/cat/1.png", "train/dog/deep/2.png", "train/dog/3.png", "val/dog/4.png"];
  await writePictures(path, [...names, "val/owl/5.png"]);
  const dataset = await openDataset({ ...few, path });
  assert.deepEqual(dataset.classes, ["cat", "dog", "owl"]);
  assert.deepEqual(await numbersOf(dataset, "train"), [0, 2, 1]);
  assert.deepEqual([...dataset.labels!.train], [0, 1, 1]);
  assert.deepEqual([...dataset.labels!.test], [1, 2]);
  const limited = await openDataset({ ...few, path, limit: 2 });
  assert.deepEqual([...limited.labels!.train], [0, 1]);
  const crops = await openDataset({ ...few, path, crop: "random", flip: true });
  for await (const batch of trainingBatches(crops, { seed: 1, epoch: 0, batchSize: 3 })) {
    const shown = numbersIn(batch.images, crops);
    assert.deepEqual([...batch.labels!], shown.map((number) => number === 0 ? 0 : 1));
  }
  const { training, validation } = holdOut(dataset, 0.4, 1);
  assert.equal(training.labels!.train.length, 2);
  for (const [part, split] of [[training, "train"], [validation, "test"]] as const) {
    const shown = await numbersOf(part, split);
    assert.deepEqual([...part.labels![split]], shown.map((number) => number === 0 ? 0 : 1));
  }
  await writePictures(path, ["val/6.png"]);
  const mixed = await openDataset({ ...few, path });
  assert.equal(mixed.labels, undefined);
  assert.throws(
    () => classCount(mixed, "objective.classes"),
    /^RangeError: Cannot train with classes: objective\.classes must be false for a data set without classes, got true with image-folder .*; digits, .* every image lies in the folder of its class, /,
  );
});

testInFolder("a broken image is replaced by one of the same class", async (path) => {
  await writePictures(path, ["train/a/0.png", "train/b/2.png", "train/c/3.png", "test/a/4.png"]);
  const broken = { "train/a/1.png": "no", "test/b/1.png": "no" };
  await writeFiles(path, broken);
  const dataset = await openDataset({ ...few, path });
  assert.deepEqual([...dataset.labels!.train], [0, 0, 1, 2]);
  assert.deepEqual(await numbersOf(dataset, "train"), [0, 0, 1, 2]);
  assert.match(
    await messageOf(numbersOf(dataset, "test")),
    /at least one of the test images of the class b must be intact, got none$/,
  );
});

testInFolder(
  "broken images are reported, counted, and replaced by the next valid one",
  async (path) => {
    await writePictures(path, ["train/0.png", "train/3.png", "test/0.png"]);
    await writeFiles(path, {
      "train/1.png": "not an image",
      "train/2.png": (await picture(7)).subarray(0, 60),
    });
    const messages: string[] = [];
    const dataset = await openDataset({ ...few, path, brokenLimit: 2 }, {
      onMessage: (message) => messages.push(message),
    });
    assert.deepEqual(await numbersOf(dataset, "train"), [0, 1, 1, 1]);
    assert.deepEqual(await numbersOf(dataset, "train"), [0, 1, 1, 1]);
    assert.equal(messages.length, 2, "each is told of once");
    assert.match(messages[0], /^skipped broken image 1 of image-folder .*: 1\.png: /);
    const message = await messageOf(openDataset({ ...few, path, brokenLimit: 1 }));
    assert.match(message, /at most 1 of its images may be broken \(--data\.brokenLimit\), got 2/);
  },
);

testInFolder("a folder without a valid image is rejected", async (path) => {
  assert.match(
    await messageOf(openDataset({ ...few, path: join(path, "none") })),
    /must be a folder/,
  );
  assert.match(await messageOf(openDataset({ ...few, path })), /train part must hold an image/);
  await writeFiles(path, { "train/1.png": "no", "test/2.png": "no" });
  assert.match(await messageOf(openDataset({ ...few, path })), /one of the train images must be/);
  assert.match(await messageOf(openDataset(few)), /--data\.path must name its folder, got none/);
});

testInFolder("a limit selects images spread evenly over the part", async (path) => {
  await writePictures(path, [..."abcdefgh"].map((name) => `train/${name}.png`));
  await writePictures(path, ["test/a.png"], 8);
  const dataset = await openDataset({ ...few, path, limit: 4 });
  assert.deepEqual(dataset.sizes, { train: 4, test: 1 });
  assert.deepEqual(await numbersOf(dataset, "train"), [0, 2, 4, 6]);
});

testInFolder(
  "a seed gives the same crops for any number of threads and any earlier batches",
  async (path) => {
    const wide = Uint8Array.from(
      { length: 40 * 8 * 3 },
      (_, place) => Math.floor(place / 3) % 40 * 6,
    );
    const { default: sharp } = await import("sharp");
    const raw = { raw: { width: 40, height: 8, channels: 3 } } as const;
    const bytes = await sharp(wide, raw).png().toBuffer();
    await writeFiles(
      path,
      Object.fromEntries([..."abcdefgh"].map((name) => [`train/${name}.png`, bytes])),
    );
    await writeFiles(path, { "test/a.png": bytes });
    const read = async (
      workers: number,
      options: { epoch: number; skip?: number; seed?: number },
    ) => {
      const crops = { size: 8, crop: "random", flip: true, workers };
      const dataset = await openDataset({ ...few, ...crops, path });
      const read: number[][] = [];
      for await (
        const { images } of trainingBatches(dataset, { seed: 7, batchSize: 2, ...options })
      ) {
        read.push([...images]);
      }
      return read;
    };
    const first = await read(1, { epoch: 3 });
    assert.equal(first.length, 4);
    assert.deepEqual(await read(3, { epoch: 3 }), first);
    assert.deepEqual(await read(2, { epoch: 3, skip: 2 }), first.slice(2));
    assert.notDeepEqual(await read(2, { epoch: 4 }), first);
    assert.notDeepEqual(await read(2, { epoch: 3, seed: 8 }), first);
    const crops = first.flat(1);
    assert.ok(new Set(crops.map(String)).size > 4, "images are cropped and mirrored differently");
    const dataset = await openDataset({ ...few, size: 8, crop: "random", path });
    const [centred] = await dataset.images("test", Int32Array.of(0));
    assert.ok(
      Math.abs(centred - (2 * 16 * 6 / 255 - 1)) < 1e-6,
      "test images are cropped centrally",
    );
  },
);

const TRAINED = ["000001.jpg", "162770.jpg"], VALIDATED = ["162771.jpg", "182637.jpg"];

testInFolder("celeba has its official parts, at 128×128", async (path) => {
  await writePictures(path, [...TRAINED, ...VALIDATED, "182638.jpg", "202599.jpg"]);
  await writeFiles(path, { "cover.jpg": "not a face" });
  const dataset = await openDataset({ name: "celeba", path, workers: 1 });
  assert.deepEqual(dataset.imageShape, [128, 128, 3]);
  assert.deepEqual(await numbersOf(dataset, "train"), [0, 1]);
  assert.deepEqual(await numbersOf(dataset, "test"), [4, 5]);
  assert.match(
    await messageOf(openDataset("celeba")),
    /got none; CelebA is licensed .* unpacks to/,
  );
});

testInFolder("ffhq's last ten thousand images are for testing", async (path) => {
  await writePictures(path, [
    "00000/00000.png",
    "59000/59999.png",
    "60000/60000.png",
    "LICENSE.png",
  ]);
  const dataset = await openDataset({ name: "ffhq", path, size: 8, workers: 1 });
  assert.deepEqual(await numbersOf(dataset, "train"), [0, 1]);
  assert.deepEqual(await numbersOf(dataset, "test"), [2]);
  assert.match(await messageOf(openDataset("ffhq")), /got none; FFHQ's pictures have licences/);
});

testInFolder(
  "imagenet's training part is its class folders, and its test part is val",
  async (path) => {
    const names = [
      "train/n01440764/a.JPEG",
      "train/n01443537/b.JPEG",
      "train/other/c.JPEG",
      "val/d.JPEG",
    ];
    await writePictures(path, names);
    const dataset = await openDataset({ name: "imagenet", path, size: 8, workers: 1 });
    assert.deepEqual(await numbersOf(dataset, "train"), [0, 1]);
    assert.deepEqual(numbersIn(await dataset.images("test", Int32Array.of(0)), dataset), [3]);
    assert.equal(dataset.labels, undefined, "val has no class folders");
    await Deno.remove(join(path, "val/d.JPEG"));
    await writePictures(path, ["val/n01443537/e.JPEG"]);
    const classed = await openDataset({ name: "imagenet", path, size: 8, workers: 1 });
    assert.deepEqual(classed.classes, ["n01440764", "n01443537"]);
    assert.deepEqual([[...classed.labels!.train], [...classed.labels!.test]], [[0, 1], [1]]);
    assert.match(
      await messageOf(openDataset({ name: "imagenet", path: join(path, "train") })),
      /must hold train\/ and val\/, got .*n01440764/,
    );
    assert.match(
      await messageOf(openDataset("imagenet")),
      /got none; ImageNet is for non-commercial/,
    );
  },
);
