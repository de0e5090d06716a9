import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cifarKind } from "../../data/cifar10.ts";
import type { Dataset } from "../../data/dataset.ts";
import { dataRoot, haveFile, type RemoteFile } from "../../data/download.ts";
import { idxKind } from "../../data/mnist.ts";
import { cifar, gzip, idx, tar } from "./archives.ts";
import { messageOf, testInFolder } from "./pictures.ts";
import { type Web, withWeb } from "./web.ts";

const FILE = Uint8Array.from({ length: 300_000 }, (_, place) => place * place % 251);
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

function remote(web: Web, name: string, bytes: Uint8Array): RemoteFile {
  return {
    path: `set/${name}`,
    addresses: [web.address + name],
    bytes: bytes.length,
    md5: md5(bytes),
  };
}

/** A test with a folder and a server that has `file`. */
function testDownload(name: string, body: (folder: string, web: Web) => Promise<void>): void {
  testInFolder(name, (folder) => withWeb({ file: FILE }, (web) => body(folder, web)));
}

testDownload(
  "a file is downloaded once, with progress, and then reused",
  async (folder, web) => {
    const messages: string[] = [];
    const options = { onMessage: (message: string) => messages.push(message) };
    const file = remote(web, "file", FILE);
    const path = await haveFile(file, folder, options);
    assert.equal(path, join(folder, "set", "file"));
    assert.deepEqual(new Uint8Array(await readFile(path)), FILE);
    assert.match(messages.at(-1)!, /^downloading set\/file: 0\.3 of 0\.3 MB \(100 %\)$/);
    assert.equal(await haveFile(file, folder, options), path);
    assert.deepEqual(web.requests, ["file"]);
    assert.deepEqual(await readdir(join(folder, "set")), ["file", "file.lock"]);
  },
);

testDownload("an interrupted download continues where it stopped", async (folder, web) => {
  web.behaviour = { breakAfter: 130_000 };
  const path = await haveFile(remote(web, "file", FILE), folder, {});
  assert.deepEqual(new Uint8Array(await readFile(path)), FILE);
  assert.deepEqual(web.requests, ["file", "file bytes=130000-", "file bytes=260000-"]);
});

testDownload(
  "a stalled download is aborted and continues from what was received",
  async (folder, web) => {
    web.behaviour = { breakAfter: 130_000, stalls: true };
    const path = await haveFile(remote(web, "file", FILE), folder, { stallLimit: 200 });
    assert.deepEqual(new Uint8Array(await readFile(path)), FILE);
    assert.deepEqual(web.requests, ["file", "file bytes=130000-", "file bytes=260000-"]);
    web.behaviour = { breakAfter: 0, stalls: true };
    const other = { ...remote(web, "file", FILE), path: "set/other" };
    const message = await messageOf(haveFile(other, folder, { stallLimit: 50 }));
    assert.match(message, /^Cannot open set\/other: .*, got .*no bytes arrived for 0\.05 s$/);
  },
);

testDownload(
  "two simultaneous requests for a file share one download",
  async (folder, web) => {
    const messages: string[] = [];
    const options = { onMessage: (message: string) => messages.push(message) };
    const file = remote(web, "file", FILE);
    web.behaviour = { breakAfter: 130_000 };
    const paths = await Promise.all([1, 2, 3].map(() => haveFile(file, folder, options)));
    assert.equal(new Set(paths).size, 1);
    assert.deepEqual(new Uint8Array(await readFile(paths[0])), FILE);
    assert.deepEqual(web.requests, ["file", "file bytes=130000-", "file bytes=260000-"]);
    assert.equal(
      messages.filter((text) => text.startsWith("waiting for set/file, which ")).length,
      2,
    );
  },
);

testDownload(
  "an abandoned download continues the next time",
  async (folder, web) => {
    web.behaviour = { breakAfter: 70_000 };
    const file = remote(web, "file", FILE);
    assert.match(await messageOf(haveFile(file, folder, {})), /^Cannot open set\/file: it must be/);
    assert.deepEqual(await readdir(join(folder, "set")), ["file.lock", "file.partial"]);
    web.behaviour = {};
    await haveFile(file, folder, {});
    assert.equal(web.requests.at(-1), "file bytes=210000-");
  },
);

testDownload(
  "a server without range requests sends the file from the start again",
  async (folder, web) => {
    await mkdir(join(folder, "set"));
    await writeFile(join(folder, "set", "file.partial"), FILE.subarray(0, 1000));
    web.behaviour = { ranges: false };
    const path = await haveFile(remote(web, "file", FILE), folder, {});
    assert.deepEqual(new Uint8Array(await readFile(path)), FILE);
  },
);

testDownload("a file with the wrong hash is never kept", async (folder, web) => {
  const file = { ...remote(web, "file", FILE), md5: md5(Uint8Array.of(1)) };
  const message = await messageOf(haveFile(file, folder, {}));
  assert.match(
    message,
    /must be downloaded, or placed at .*set\/file \(from .*, MD5 55a5\w+\), got .* sum must be/,
  );
  assert.deepEqual(await readdir(join(folder, "set")), ["file.lock"]);
  assert.deepEqual(web.requests, ["file"], "asking again does not help");
  const short = { ...remote(web, "file", FILE), bytes: 1000 };
  assert.match(await messageOf(haveFile(short, folder, {})), /must have 1000 bytes, got more$/);
});

testDownload("the second address is used if the first fails", async (folder, web) => {
  const file = remote(web, "file", FILE);
  const addresses = [`${web.address}gone`, ...file.addresses];
  await haveFile({ ...file, addresses }, folder, {});
  assert.deepEqual(web.requests, ["gone", "file"]);
});

testInFolder(
  "without a network, downloaded files are read, and missing ones give an error with instructions",
  async (folder) => {
    const file = {
      path: "set/file",
      addresses: ["http://127.0.0.1:1/file"],
      bytes: FILE.length,
      md5: md5(FILE),
    };
    assert.match(
      await messageOf(haveFile(file, folder, {})),
      /or placed at .*\/set\/file \(from http:\/\/127\.0\.0\.1:1\/file, MD5 \w{32}\), got /,
    );
    await writeFile(join(folder, "set", "file"), FILE);
    assert.equal(await haveFile(file, folder, {}), join(folder, "set", "file"));
    await writeFile(join(folder, "set", "file"), FILE.subarray(1));
    assert.match(
      await messageOf(haveFile(file, folder, {})),
      /its MD5 sum must be \w+, got \w+; delete it to download it again/,
    );
  },
);

Deno.test("the download folder comes from the setting, else the environment, else the home folder", () => {
  const before = Deno.env.get("CODEBOOK_DATA");
  try {
    Deno.env.set("CODEBOOK_DATA", "/elsewhere");
    assert.equal(dataRoot("/here"), "/here");
    assert.equal(dataRoot(null), "/elsewhere");
    Deno.env.delete("CODEBOOK_DATA");
    assert.match(dataRoot(null), /\.cache.codebook$/);
  } finally {
    if (before !== undefined) Deno.env.set("CODEBOOK_DATA", before);
  }
});

async function firstValues(dataset: Dataset, split: "train" | "test"): Promise<number[]> {
  const values = await dataset.images(split, Int32Array.of(0));
  return [...values.subarray(0, 4)].map((value) => Math.round((value + 1) * 255 / 2));
}

testInFolder("mnist: gzipped IDX files of images and classes are read", async (folder) => {
  const train = gzip(idx([3, 4, 5], Uint8Array.from({ length: 60 }, (_, index) => index)));
  const test = gzip(idx([1, 4, 5], new Uint8Array(20).fill(9)));
  const flat = gzip(idx([20], new Uint8Array(20)));
  const small = gzip(idx([1, 4, 4], new Uint8Array(16)));
  const classes = gzip(idx([3], Uint8Array.of(1, 0, 1))), one = gzip(idx([1], Uint8Array.of(1)));
  const none = gzip(idx([3], Uint8Array.of(1, 0, 2)));
  await withWeb({ train, test, flat, small, classes, one, none }, async (web) => {
    const open = (
      other: Partial<Record<"train" | "test", RemoteFile>>,
      labels: Partial<Record<"train" | "test", RemoteFile>> = {},
    ) =>
      idxKind("tiny", {
        images: { train: remote(web, "train", train), test: remote(web, "test", test), ...other },
        labels: {
          train: remote(web, "classes", classes),
          test: remote(web, "one", one),
          ...labels,
        },
      }, ["shirt", "bag"]).open({ root: folder }, {});
    const dataset = await open({});
    assert.deepEqual(dataset.classes, ["shirt", "bag"]);
    assert.deepEqual([...dataset.labels!.train], [1, 0, 1]);
    assert.deepEqual([...dataset.labels!.test], [1]);
    assert.match(
      await messageOf(open({}, { test: remote(web, "classes", classes) })),
      /there must be 1 test labels, got 3/,
    );
    assert.match(
      await messageOf(open({}, { train: remote(web, "none", none) })),
      /a label must be in \[0, 2\), got 2/,
    );
    assert.match(
      await messageOf(open({}, { train: remote(web, "train", train) })),
      /it must hold classes, one axis, got 3 axes/,
    );
    assert.deepEqual([dataset.name, dataset.imageShape], ["tiny", [4, 5, 1]]);
    assert.deepEqual(dataset.sizes, { train: 3, test: 1 });
    assert.deepEqual(await firstValues(dataset, "train"), [0, 1, 2, 3]);
    assert.deepEqual(await firstValues(dataset, "test"), [9, 9, 9, 9]);
    assert.match(
      await messageOf(open({ test: remote(web, "flat", flat) })),
      /three axes, got 1 axes/,
    );
    assert.match(
      await messageOf(open({ test: remote(web, "small", small) })),
      /be 4×5 .*, got 4×4/,
    );
  });
});

testInFolder(
  "cifar10: the batches of a gzipped archive are read in order",
  async (folder) => {
    const batch = (number: number) => ({
      name: `cifar-10-batches-bin/data_batch_${number}.bin`,
      content: cifar(2, (_, channel) => 10 * number + channel),
    });
    const batches = [3, 1, 2, 5, 4].map(batch);
    const test = { name: "cifar-10-batches-bin/test_batch.bin", content: cifar(3, () => 200) };
    const whole = gzip(tar([{ name: "cifar-10-batches-bin/", type: "5" }, ...batches, test]));
    const part = gzip(tar([...batches.slice(1), test]));
    await withWeb({ whole, part }, async (web) => {
      const open = (name: string, bytes: Uint8Array) =>
        cifarKind("tiny", remote(web, name, bytes)).open({ root: folder }, {});
      const dataset = await open("whole", whole);
      assert.deepEqual([dataset.imageShape, dataset.sizes], [[32, 32, 3], { train: 10, test: 3 }]);
      assert.deepEqual([...dataset.labels!.train], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
      assert.deepEqual([...dataset.labels!.test], [0, 1, 2]);
      assert.deepEqual([dataset.classes![0], dataset.classes![9]], ["airplane", "truck"]);
      assert.deepEqual(await firstValues(dataset, "train"), [10, 11, 12, 10]);
      assert.deepEqual(await firstValues(dataset, "test"), [200, 200, 200, 200]);
      assert.match(
        await messageOf(open("part", part)),
        /must hold test_batch.bin .*, got no data_batch_3/,
      );
    });
  },
);
