import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { parquetWriteBuffer } from "hyparquet-writer";
import sharp from "sharp";
import { randomKey } from "../../core/random.ts";
import {
  evaluationBatches,
  trainingBatches,
  type TrainingBatchesOptions,
} from "../../data/batches.ts";
import { classCount, type Dataset } from "../../data/dataset.ts";
import { ImageDecoder } from "../../data/decoder.ts";
import { openDataset } from "../../data/registry.ts";
import { expandBraces } from "../../data/shards.ts";
import { shuffled } from "../../data/shuffle_buffer.ts";
import { tar } from "./archives.ts";
import { messageOf, numbersIn, numbersOf, picture, testInFolder, writeFiles } from "./pictures.ts";
import { withWeb } from "./web.ts";

const PICTURES = await Promise.all(Array.from({ length: 20 }, (_, number) => picture(number)));
const small = { size: 4, workers: 2, shuffleBuffer: 5 };

/** A shard of a WebDataset with the pictures of these numbers. */
function shard(...numbers: number[]): Uint8Array<ArrayBuffer> {
  return tar(numbers.flatMap((number) => [
    { name: `n${number}.cls`, content: new TextEncoder().encode(String(number)) },
    { name: `n${number}.png`, content: PICTURES[number] },
  ]));
}

/** A Parquet file as the hubs write it, `rows` rows to a row group. */
function parquet(images: readonly (Uint8Array | null)[], rows = 3): Uint8Array<ArrayBuffer> {
  const structures = images.map((bytes, index) => ({ bytes, path: `${index}.png` }));
  return new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "image", data: structures },
      { name: "label", data: images.map((_, index) => index) },
      { name: "raw", data: [...images] },
    ],
    schema: [
      { name: "root", num_children: 3 },
      { name: "image", num_children: 2, repetition_type: "OPTIONAL" },
      { name: "bytes", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
      { name: "path", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
      { name: "label", type: "INT32", repetition_type: "OPTIONAL" },
      { name: "raw", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
    ],
    rowGroupSize: rows,
  }));
}

async function epochOf(
  dataset: Dataset,
  options: Partial<TrainingBatchesOptions> = {},
): Promise<number[]> {
  const numbers: number[] = [];
  const batches = trainingBatches(dataset, { seed: 7, epoch: 0, batchSize: 3, ...options });
  for await (const { images, count } of batches) {
    assert.equal(count, 3 / (options.part?.count ?? 1));
    numbers.push(...numbersIn(images, dataset));
  }
  return numbers;
}

/** What holds of every data set that has the pictures 0 to 11 to train on and 12 to 15 to test on. */
async function checkSequences(dataset: Dataset): Promise<void> {
  const all = Array.from({ length: 12 }, (_, number) => number);
  assert.deepEqual(dataset.sizes, { train: 12, test: 4 });
  assert.ok(dataset.variance > 0.001, `${dataset.variance}`);
  assert.deepEqual(await numbersOf(dataset, "train"), all, "by index, the shards' own order");
  const some = await dataset.images("test", Int32Array.of(3, 0, 3));
  assert.deepEqual(numbersIn(some, dataset), [15, 12, 15]);
  const first = await epochOf(dataset);
  assert.deepEqual(first.toSorted((a, b) => a - b), all, "an epoch has every image once");
  assert.notDeepEqual(first, all);
  assert.deepEqual(await epochOf(dataset), first);
  assert.deepEqual(await epochOf(dataset, { skip: 2 }), first.slice(6), "resumed exactly");
  assert.notDeepEqual(await epochOf(dataset, { epoch: 1 }), first);
  assert.notDeepEqual(await epochOf(dataset, { seed: 8 }), first);
  const parts = await Promise.all(
    [0, 1, 2].map((rank) => epochOf(dataset, { skip: 1, part: { rank, count: 3 } })),
  );
  const joined = parts[0].flatMap((_, step) => parts.map((part) => part[step]));
  assert.deepEqual(joined, first.slice(3), "three processes have the batches of one");
  const tests: number[][] = [];
  for await (const { images } of evaluationBatches(dataset, { split: "test", batchSize: 3 })) {
    tests.push(numbersIn(images, dataset));
  }
  assert.deepEqual(tests, [[12, 13, 14], [15]]);
}

testInFolder("tar shards in files are counted, shuffled, and resumed exactly", async (folder) => {
  await writeFiles(folder, {
    "train/a-000.tar": shard(0, 1, 2, 3, 4),
    "train/a-001.tar": shard(5, 6, 7),
    "train/a-002.tar": shard(8, 9, 10, 11),
    "test.tar": shard(12, 13, 14, 15),
  });
  const [train, test] = [join(folder, "train"), join(folder, "test.tar")];
  const dataset = await openDataset({ name: "webdataset", ...small, train, test });
  assert.equal(dataset.name, "webdataset a-000.tar");
  await checkSequences(dataset);
  const braces = join(folder, "train", "a-{000..002}.tar");
  await checkSequences(await openDataset({ name: "webdataset", ...small, train: braces, test }));
});

testInFolder("tar shards on the web are streamed", async (folder) => {
  const files = { "a-0.tar": shard(0, 1, 2, 3, 4, 5, 6), "a-1.tar": shard(7, 8, 9, 10, 11) };
  await writeFile(join(folder, "test.tar"), shard(12, 13, 14, 15));
  await withWeb(files, async (web) => {
    const train = `${web.address}a-{0..1}.tar`, test = join(folder, "test.tar");
    const open = (trainImages: number | null) =>
      openDataset({ name: "webdataset", ...small, train, test, trainImages });
    await checkSequences(await open(12));
    assert.match(
      await messageOf(open(null)),
      /--data\.trainImages must give the number of images .* web/,
    );
    assert.match(
      await messageOf(open(13).then(epochOf)),
      /the train shards must hold 13 images, got 12$/,
    );
    web.behaviour = { status: 503 };
    assert.match(await messageOf(open(12)), /a-0\.tar: the server must give it, got 503$/);
  });
});

testInFolder(
  "parquet files are read by row groups, from files and by ranges from the web",
  async (folder) => {
    const [train, test] = [parquet(PICTURES.slice(0, 12), 5), parquet(PICTURES.slice(12, 16))];
    await writeFiles(folder, { "train.parquet": train, "test.parquet": test });
    const paths = { train: join(folder, "train.parquet"), test: join(folder, "test.parquet") };
    await checkSequences(await openDataset({ name: "parquet", ...small, ...paths }));
    await checkSequences(await openDataset({ name: "parquet", ...small, ...paths, column: "raw" }));
    await withWeb({ "train.parquet": train }, async (web) => {
      const onTheWeb = { ...paths, train: `${web.address}train.parquet` };
      await checkSequences(await openDataset({ name: "parquet", ...small, ...onTheWeb }));
      assert.ok(web.requests.every((request) => /bytes=/.test(request)));
      web.behaviour = { ranges: false };
      assert.match(
        await messageOf(openDataset({ name: "parquet", ...small, ...onTheWeb })),
        /the server must answer requests for ranges, got 200$/,
      );
    });
    for (
      const [column, message] of [[
        "picture",
        /no bytes in a column picture \(--data\.column\) among image, label, raw$/,
      ], ["label", /no bytes in a column label/]] as const
    ) {
      assert.match(
        await messageOf(
          openDataset({ name: "parquet", ...small, ...paths, column, brokenLimit: 0 }),
        ),
        message,
      );
    }
  },
);

/** Checks that every image of an epoch, in parts of batches, crops and flips, has the class that is its number. */
async function checkLabels(dataset: Dataset, classes: readonly string[]): Promise<void> {
  assert.deepEqual(dataset.classes, classes);
  assert.equal(classCount(dataset, "--objective.classes"), classes.length);
  for (const rank of [0, 1]) {
    const options = { seed: 7, epoch: 1, batchSize: 4, part: { rank, count: 2 } };
    for await (const { images, labels } of trainingBatches(dataset, options)) {
      assert.deepEqual([...labels!], numbersIn(images, dataset));
    }
  }
  for await (const { labels } of evaluationBatches(dataset, { split: "test", batchSize: 3 })) {
    assert.ok(labels!.every((label) => label < classes.length));
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, number) => String(number));

testInFolder("class files in tar shards are read before or after their images", async (folder) => {
  const after = (...numbers: number[]) =>
    tar(numbers.flatMap((number) => [
      { name: `a.b/n${number}.png`, content: PICTURES[number] },
      { name: `a.b/n${number}.txt`, content: new TextEncoder().encode("a caption") },
      { name: `a.b/n${number}.cls`, content: new TextEncoder().encode(`${number}\n`) },
    ]));
  const broken = [
    { name: "broken.png", content: Uint8Array.of(1, 2, 3) },
    { name: "broken.cls", content: new TextEncoder().encode("13") },
  ];
  const files = {
    "a-0.tar": shard(0, 1, 2, 3, 4),
    "a-1.tar": after(5, 6, 7, 8, 9, 10, 11),
    "test.tar": shard(12, 13),
    "broken.tar": tar([
      ...broken,
      ...[4, 5, 6].flatMap((number) => [
        { name: `n${number}.png`, content: PICTURES[number] },
        { name: `n${number}.cls`, content: new TextEncoder().encode(`${number}`) },
      ]),
    ]),
    "none.tar": tar([
      { name: "n1.png", content: PICTURES[1] },
      ...[2, 3].flatMap((number) => [
        { name: `n${number}.png`, content: PICTURES[number] },
        { name: `n${number}.cls`, content: new TextEncoder().encode(`${number}`) },
      ]),
    ]),
    "text.tar": tar([
      { name: "n1.png", content: PICTURES[1] },
      { name: "n1.cls", content: new TextEncoder().encode("cat") },
    ]),
  };
  await writeFiles(folder, files);
  const open = (train: string, classes: number | null = 14) =>
    openDataset({
      ...{ name: "webdataset", ...small, flip: true, classes, trainImages: null },
      ...{ train: join(folder, train), test: join(folder, "test.tar") },
    });
  await checkLabels(await open("a-{0..1}.tar"), numbered(14));
  await checkLabels(await open("broken.tar"), numbered(14)); // Its place is taken with the class.
  assert.equal((await open("a-0.tar", null)).classes, undefined, "unless their number is given");
  await withWeb(files, async (web) => {
    const onTheWeb = { train: `${web.address}a-{0..1}.tar`, trainImages: 12, classes: 14 };
    const test = join(folder, "test.tar");
    const dataset = await openDataset({ name: "webdataset", ...small, test, ...onTheWeb });
    await checkLabels(dataset, numbered(14));
  });
  for (
    const [file, classes, got] of [["none.tar", 14, "none"], ["text.tar", 14, "NaN"], [
      "a-0.tar",
      3,
      "3",
    ]] as const
  ) {
    assert.match(
      await messageOf(open(file, classes).then(epochOf)),
      new RegExp(`n\\d\\.png of .*: it must have a class from 0 to ${classes - 1}, got ${got}$`),
    );
  }
});

testInFolder(
  "classes are read from a column of a parquet file, with the names that the Hugging Face hub uses",
  async (folder) => {
    const names = numbered(12).map((number) => `class ${number}`);
    const hub = (
      noted: string,
    ) => [{ key: "ARROW:schema", value: "" }, { key: "huggingface", value: noted }];
    const noted = JSON.stringify({
      info: { features: { image: { _type: "Image" }, label: { names, _type: "ClassLabel" } } },
    });
    const wide = (kvMetadata: { key: string; value: string }[]) =>
      new Uint8Array(parquetWriteBuffer({
        columnData: [
          { name: "image", data: PICTURES.slice(0, 12), type: "BYTE_ARRAY" },
          { name: "label", data: PICTURES.slice(0, 12).map((_, at) => BigInt(at)), type: "INT64" },
          { name: "few", data: PICTURES.slice(0, 12).map((_, at) => at % 2), type: "INT32" },
        ],
        rowGroupSize: 5,
        kvMetadata,
      }));
    await writeFiles(folder, {
      "plain.parquet": parquet(PICTURES.slice(0, 12), 5),
      "hub.parquet": wide(hub(noted)),
      "odd.parquet": wide(hub("[]")),
    });
    const open = (file: string, label: string | null, classes: number | null = null) => {
      const path = join(folder, file);
      return openDataset({ name: "parquet", ...small, train: path, test: path, label, classes });
    };
    await checkLabels(await open("hub.parquet", "label"), names);
    await checkLabels(await open("plain.parquet", "label", 12), numbered(12));
    assert.equal((await open("hub.parquet", null)).classes, undefined);
    const few = await open("hub.parquet", "few", 2); // A dictionary.
    for await (
      const { images, labels } of evaluationBatches(few, { split: "test", batchSize: 3 })
    ) {
      assert.deepEqual([...labels!], numbersIn(images, few).map((number) => number % 2));
    }
    for (const file of ["odd.parquet", "plain.parquet"]) {
      assert.match(
        await messageOf(open(file, "label")),
        /--data\.classes must give the number of classes/,
      );
    }
    assert.match(
      await messageOf(open("hub.parquet", "image")),
      /no integers in a column image \(--data\.label\) among image, label, few$/,
    );
    assert.match(
      await messageOf(open("plain.parquet", "label", 5)),
      /row \d of row group \d of .*: it must have a class from 0 to 4, got 5$/,
    );
  },
);

testInFolder(
  "a broken image in a shard is skipped, and later batches do not change",
  async (folder) => {
    const numbers = Array.from({ length: 12 }, (_, number) => number);
    const broken = PICTURES.slice(0, 12);
    broken[4] = Uint8Array.of(1, 2, 3);
    const entries = (pictures: readonly Uint8Array[]) =>
      tar(pictures.map((content, index) => ({ name: `${index}.png`, content })));
    await writeFiles(folder, {
      "whole.tar": entries(PICTURES.slice(0, 12)),
      "broken.tar": entries(broken),
      "test.tar": shard(12),
    });
    const messages: string[] = [];
    const open = (name: string, brokenLimit: number) =>
      openDataset({
        name: "webdataset",
        ...small,
        brokenLimit,
        train: join(folder, name),
        test: join(folder, "test.tar"),
      }, { onMessage: (message) => messages.push(message) });
    const expected = await epochOf(await open("whole.tar", 0));
    const got = await epochOf(await open("broken.tar", 1));
    assert.ok(numbers.every((number) => number === 4 || got.includes(number)));
    const place = expected.indexOf(4);
    const substitute = got[place];
    assert.equal(
      Math.floor(expected.indexOf(substitute) / 3),
      Math.floor(place / 3),
      "of its batch",
    );
    assert.deepEqual(got, expected.with(place, substitute));
    const count = 3, shared = await open("broken.tar", 1);
    const { decode } = ImageDecoder.prototype;
    let decoded = 0;
    ImageDecoder.prototype.decode = function (images, placements) {
      decoded += images.length;
      return decode.call(this, images, placements);
    };
    try {
      for (const rank of [0, 1, 2]) {
        const own = await epochOf(shared, { part: { rank, count } });
        assert.deepEqual(own, got.filter((_, at) => at % count === rank), "as in one process");
      }
    } finally {
      ImageDecoder.prototype.decode = decode;
    }
    assert.equal(
      decoded,
      numbers.length + 1,
      "every image once, and the one in a broken one's place",
    );
    assert.match(
      messages[0],
      /skipped broken image 1 of webdataset broken\.tar: 4\.png of .*broken\.tar: /,
    );
    assert.match(await messageOf(open("broken.tar", 0)), /at most 0 of its images may be broken/);
  },
);

testInFolder(
  "a null in a parquet column counts as a broken image, and a file of another kind is rejected",
  async (folder) => {
    await writeFiles(folder, {
      "a.parquet": parquet([PICTURES[3], null, PICTURES[5]]),
      "b.parquet": "PAR1 but not at all PAR1",
      "c.parquet": parquet(PICTURES).subarray(0, -100),
      "empty/readme.txt": "",
    });
    const open = (file: string, brokenLimit = 1) => {
      const path = join(folder, file);
      return openDataset({ name: "parquet", ...small, brokenLimit, train: path, test: path });
    };
    assert.deepEqual(await numbersOf(await open("a.parquet"), "train"), [3, 5, 5]);
    assert.match(await messageOf(open("a.parquet", 0)), /row 1 of row group 0 of .*: /);
    assert.match(
      await messageOf(open("b.parquet")),
      /b\.parquet: it must be a whole Parquet file with a column of images, got /,
    );
    assert.match(
      await messageOf(open("c.parquet")),
      /c\.parquet: it must be a whole Parquet file with a column of images, got /,
    );
    assert.match(
      await messageOf(open("d.parquet")),
      /--data\.train must name existing files/,
    );
    assert.match(await messageOf(open("empty")), /the folder must hold \.parquet files, got none/);
  },
);

testInFolder(
  "the variance is that of the whole set, even if its shards are sorted",
  async (folder) => {
    const plain = async (grey: number) =>
      await sharp({
        create: { width: 4, height: 4, channels: 3, background: { r: grey, g: grey, b: grey } },
      })
        .png().toBuffer();
    const shades = await Promise.all([0, 255].map(plain));
    const of = (shade: number) =>
      tar(
        Array.from(
          { length: 300 },
          (_, at) => ({ name: `${at}.png`, content: new Uint8Array(shades[shade]) }),
        ),
      );
    await writeFiles(folder, {
      "a-0.tar": of(0),
      "a-1.tar": of(0),
      "a-2.tar": of(1),
      "a-3.tar": of(1),
    });
    const train = join(folder, "a-{0..3}.tar"), test = join(folder, "a-0.tar");
    const dataset = await openDataset({ name: "webdataset", ...small, train, test });
    assert.ok(
      Math.abs(dataset.variance - 0.25) < 1e-6,
      `half black, half white: ${dataset.variance}`,
    );
  },
);

Deno.test("braces expand to every number in their range", () => {
  assert.deepEqual(expandBraces("a.tar"), ["a.tar"]);
  assert.deepEqual(expandBraces("{9..11}-{0..1}"), ["9-0", "9-1", "10-0", "10-1", "11-0", "11-1"]);
  assert.throws(() => expandBraces("{0..9999999}"), /1 to 1000000 names, got 10000000/);
  assert.throws(() => expandBraces("{5..4}"), /got 0/);
});

Deno.test("the shuffle buffer gives every item once, in an order set by the key, and reads ahead by at most its length", async () => {
  const requests = fc.record({ length: fc.nat(60), capacity: fc.integer({ min: 1, max: 70 }) });
  await fc.assert(fc.asyncProperty(requests, fc.nat(), async ({ length, capacity }, seed) => {
    async function* row() {
      for (let item = 0; item < length; item++) yield item;
    }
    const order = () => Array.fromAsync(shuffled(row(), capacity, randomKey(seed, "order")));
    const got = await order();
    assert.deepEqual(got.toSorted((a, b) => a - b), Array.from({ length }, (_, item) => item));
    assert.ok(got.every((item, place) => item <= place + capacity));
    assert.deepEqual(await order(), got);
    if (capacity === 1) assert.deepEqual(got, got.toSorted((a, b) => a - b));
  }));
});

Deno.test("a buffer as long as the sequence shuffles uniformly", async () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 2400; seed++) {
    const row = async function* () {
      yield* "abcd";
    };
    const order = (await Array.fromAsync(shuffled(row(), 4, randomKey(seed, "order")))).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 24);
  // 23 degrees of freedom: beyond 60 once in 30,000 seeds.
  const deviation = [...counts.values()].reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  assert.ok(deviation < 60, `${deviation}`);
});
