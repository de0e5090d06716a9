import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { open } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { FileSource, StreamSource } from "../../../data/formats/byte_source.ts";
import { readCifar } from "../../../data/formats/cifar.ts";
import { unpackFile } from "../../../data/formats/gzip.ts";
import { readIdx } from "../../../data/formats/idx.ts";
import { readTar, type TarEntry } from "../../../data/formats/tar.ts";
import { cifar, type Entry, gzip, idx, joined, tar, tarHeader } from "../archives.ts";
import { fuzz } from "../fuzz.ts";
import { messageOf, testInFolder } from "../pictures.ts";

const text = (content: string) => new TextEncoder().encode(content);

Deno.test("an IDX file gives its shape and values", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }), (shape) => {
    const length = shape.reduce((product, side) => product * side, 1);
    const values = Uint8Array.from({ length }, (_, index) => index * 7 % 256);
    assert.deepEqual(readIdx(idx(shape, values), "a file"), { shape, values });
  }));
});

Deno.test("an IDX file that is truncated, inconsistent, or not of bytes is rejected", () => {
  const good = idx([2, 3], new Uint8Array(6));
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /must start like .*, got nothing$/],
    [
      text("PK\x03\x04"),
      /must start like an IDX file of unsigned bytes, with 0 0 8, got 80 75 3 4$/,
    ],
    [Uint8Array.of(0, 0, 13, 1, 0, 0, 0, 0), /with 0 0 8, got 0 0 13 1$/],
    [good.subarray(0, 9), /its header must have 12 bytes, got 9$/],
    [Uint8Array.of(0, 0, 8, 255), /it must have at most 8 axes, got 255$/],
    [good.subarray(0, 17), /2×3 values must follow the header, got 5 bytes$/],
    [joined([good, text("x")]), /2×3 values must follow the header, got 7 bytes$/],
    [idx([2 ** 32 - 1, 2 ** 32 - 1], new Uint8Array(1)), /4294967295×4294967295 values must/],
  ];
  for (const [file, message] of cases) assert.throws(() => readIdx(file, "a file"), { message });
});

Deno.test("a CIFAR file gives images with the channels last, and their labels", () => {
  const file = cifar(3, (image, channel, pixel) => (image * 50 + channel * 80 + pixel) % 256);
  const { images, labels } = readCifar(file, "a batch");
  assert.deepEqual([...labels], [0, 1, 2]);
  assert.equal(images.length, 3 * 3072);
  for (const [image, channel, pixel] of [[0, 0, 0], [1, 2, 1023], [2, 1, 517]]) {
    const value = images[3 * (image * 1024 + pixel) + channel];
    assert.equal(value, (image * 50 + channel * 80 + pixel) % 256);
  }
});

Deno.test("a CIFAR file that is truncated or of another kind is rejected", () => {
  const file = cifar(2, () => 0);
  assert.throws(() => readCifar(file.subarray(1), "b"), /whole records .*, got 6145 bytes/);
  assert.throws(() => readCifar(new Uint8Array(0), "b"), /at least one, got 0 bytes/);
  file[3073] = 10;
  assert.throws(() => readCifar(file, "b"), /label of record 1 must be in \[0, 10\), got 10/);
});

/** The entries of an archive that is read in pieces of so many bytes, each with its content. */
async function entriesOf(
  archive: Uint8Array,
  piece = 1000,
): Promise<(TarEntry & { content: Uint8Array })[]> {
  const source = new StreamSource(async function* () {
    for (let at = 0; at < archive.length; at += piece) yield archive.subarray(at, at + piece);
  }());
  const entries = [];
  for await (const entry of readTar(source, "the archive")) {
    entries.push({ ...entry, content: await source.read(entry.size) });
  }
  return entries;
}

Deno.test("a tar archive gives its files for any chunking of the stream", async () => {
  const files = fc.array(
    fc.record({
      name: fc.stringMatching(/^[a-z0-9]{1,8}(\/[a-z0-9.]{1,8}x){0,2}$/),
      content: fc.uint8Array({ maxLength: 1200 }),
    }),
    { maxLength: 6 },
  );
  const sizes = fc.integer({ min: 1, max: 1500 });
  await fc.assert(fc.asyncProperty(files, sizes, async (files, piece) => {
    const archive = tar(files);
    const read = await entriesOf(archive, piece);
    assert.deepEqual(read.map(({ name }) => name), files.map(({ name }) => name));
    read.forEach(({ content, offset, size }, index) => {
      assert.deepEqual(content, new Uint8Array(files[index].content));
      assert.deepEqual(archive.subarray(offset, offset + size), content);
    });
  }));
});

testInFolder(
  "a tar archive on disk gives the same files, and skipped files are not read",
  async (folder) => {
    const path = join(folder, "a.tar");
    const files = [{ name: "a", content: text("first") }, { name: "b", content: text("second") }];
    await writeFile(path, tar(files));
    const file = await open(path);
    const source = new FileSource(file, (await file.stat()).size);
    const entries = await Array.fromAsync(readTar(source, path));
    assert.deepEqual(entries.map(({ offset, size }) => [offset, size]), [[512, 5], [1536, 6]]);
    await file.close();
  },
);

Deno.test("long names in ustar, GNU and pax form are read, and entries that are not files are skipped", async () => {
  const long = `${"deep/".repeat(30)}name.png`;
  const ustar = tarHeader({ name: "name.png" });
  ustar.set(text("deep/deep"), 345);
  ustar.set(text("        "), 148);
  const sum = ustar.reduce((sum, byte) => sum + byte, 0);
  ustar.set(text(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  assert.equal((await entriesOf(ustar))[0].name, "deep/deep/name.png");
  const path = ` path=${long}\n`;
  const record = `${path.length + 3}${path}`;
  const archive = tar([
    { name: "folder/", type: "5" },
    { name: "link", type: "2" },
    { name: "././@LongLink", type: "L", content: text(`${long}\0`) },
    { name: long, content: text("1") },
    { name: "x", type: "x", content: text(`20 mtime=1700000000\n${record}`) },
    { name: "short", content: text("2") },
    { name: "plain", content: text("3") },
  ]);
  assert.deepEqual((await entriesOf(archive)).map(({ name }) => name), [long, long, "plain"]);
});

Deno.test("an archive that is inconsistent, truncated, or has paths outside itself is rejected", async () => {
  const file: Entry = { name: "a", content: new Uint8Array(600) };
  const whole = tar([file]);
  const broken = whole.slice();
  broken[0] ^= 1;
  const cases: [Uint8Array, RegExp][] = [
    [whole.subarray(0, 100), /must not be cut short, got 100 of 512 bytes/],
    [whole.subarray(0, 1000), /must not be cut short, got 488 of 600 bytes/],
    [tar([{ ...file, size: 2 ** 33 - 1 }]), /must not be cut short/],
    [broken, /every header of a tar archive must have its checksum, got \d+ for \d+/],
    [tar([{ name: "n", type: "L", size: 2 ** 30 }]), /at most 65536 bytes, got 1073741824/],
    ...["../a", "/etc/passwd", "a/../../b", "C:\\a", "..\\a", ""].map((
      name,
    ): [Uint8Array, RegExp] => [
      tar([{ name }]),
      /must be a path inside the archive, got "/,
    ]),
    [
      tar([{ name: "n", type: "L", content: text("../../b") }, file]),
      /must be a path inside the archive, got "..\/..\/b"/,
    ],
  ];
  for (const [archive, message] of cases) {
    assert.match(await messageOf(entriesOf(archive)), message);
  }
});

testInFolder(
  "a gzip file that is truncated or unpacks to more than the limit is rejected",
  async (folder) => {
    const path = join(folder, "a.gz");
    const unpack = async (file: Uint8Array, most: number) => {
      await writeFile(path, file);
      return joined(await Array.fromAsync(unpackFile(path, most)));
    };
    const zeros = new Uint8Array(1e6);
    assert.deepEqual(await unpack(gzip(zeros), 1e6), zeros);
    assert.match(
      await messageOf(unpack(gzip(zeros), 999_999)),
      /must hold at most 999999 bytes, got more/,
    );
    const packed = gzip(zeros);
    assert.match(
      await messageOf(unpack(packed.subarray(0, 500), 1e6)),
      /must be a whole gzip file/,
    );
    assert.match(await messageOf(unpack(text("plain"), 1e6)), /must be a whole gzip file, got /);
  },
);

fuzz(
  "readIdx",
  () => idx([5, 4, 3], new Uint8Array(60)),
  (file) => readIdx(file, "f").values.length,
);
fuzz("readCifar", () => cifar(1, () => 7), (file) => readCifar(file, "f").images.length);
fuzz("readTar", () =>
  tar([
    { name: "a/b.png", content: text("some bytes") },
    { name: "l", type: "L", content: text("long name") },
    { name: "c", content: text("others") },
  ]), async (file) => {
  const entries = await entriesOf(file);
  return entries.reduce((sum, { content, name }) => sum + content.length + name.length, 0);
});
