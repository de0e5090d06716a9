import assert from "node:assert/strict";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { lmdbValues } from "../../data/formats/lmdb.ts";
import { bytesAccess } from "../../data/formats/random_access.ts";
import { openDataset } from "../../data/registry.ts";
import { fuzz } from "./fuzz.ts";
import { messageOf, numbersOf, picture, testInFolder, writeFiles } from "./pictures.ts";

/** A file that OpenLDAP's liblmdb 0.9.24 wrote in two transactions: under the keys `%040x` of 7919i + 5, the pictures i
 * of 0 to 59, every tenth filled up with zeros to 5,000 bytes, so that it lies on pages of its own. */
const FILE = new Uint8Array(gunzipSync(
  await Deno.readFile(new URL("../fixtures/lmdb/data.mdb.gz", import.meta.url)),
));

async function valuesOf(file: Uint8Array<ArrayBuffer>): Promise<Uint8Array[]> {
  const found = await Array.fromAsync(lmdbValues(bytesAccess(file), "a file"));
  return found.map(({ offset, length }) => file.subarray(offset, offset + length));
}

Deno.test("the values of a file by liblmdb are found in the order of their keys", async () => {
  const values = await valuesOf(FILE);
  assert.equal(values.length, 60);
  for (const [index, value] of values.entries()) {
    const { length } = await picture(index);
    assert.equal(value.length, index % 10 === 0 ? 5000 : length, `value ${index}`);
    assert.deepEqual([...value.subarray(1, 4)], [...new TextEncoder().encode("PNG")]);
    assert.ok(value.subarray(length).every((byte) => byte === 0));
  }
});

/** The file with a change to the meta page that counts, or to a page of its tree. */
function changed(change: (view: DataView, meta: number, root: number) => void) {
  const file = FILE.slice();
  const view = new DataView(file.buffer);
  const meta = view.getBigUint64(144, true) > view.getBigUint64(4096 + 144, true) ? 0 : 4096;
  change(view, meta, 4096 * Number(view.getBigUint64(meta + 128, true)));
  return file;
}

Deno.test("a file that is inconsistent or of another kind is rejected", async () => {
  const cases: [Uint8Array<ArrayBuffer>, RegExp][] = [
    [new Uint8Array(0), /must be an LMDB file, got 0 bytes/],
    [FILE.slice(0, 5000), /pages must be among its 1, got \d+|must be an LMDB file, got/],
    [changed((view) => view.setUint32(16, 7, true)), /must be an LMDB file, got 0x7 for its mark/],
    [changed((view) => view.setUint32(20, 2, true)), /must be of LMDB's data version 1, got 2/],
    [
      changed((view) => view.setUint32(40, 3000, true)),
      /512 to 65536 bytes, a power of two, got 3000/,
    ],
    [
      changed((view, meta) => view.setBigUint64(meta + 128, 2n ** 60n, true)),
      /pages must be among its 22/,
    ],
    [
      changed((view, _, root) => view.setUint16(root + 10, 4, true)),
      /a page of the tree must be a branch or a leaf, got 4/,
    ],
    [
      changed((view, _, root) => view.setUint16(root + 12, 9000, true)),
      /must have room for its nodes/,
    ],
    [
      changed((view, _, root) => {
        const node = root + view.getUint16(root + 16, true);
        view.setUint16(node, root / 4096, true); // The first child is the page itself.
      }),
      /must be at most 32 deep|no page may be in the tree twice/,
    ],
  ];
  for (const [file, message] of cases) assert.match(await messageOf(valuesOf(file)), message);
});

testInFolder(
  "lsun's training and validation files become its training and test parts",
  async (path) => {
    await writeFiles(path, {
      "church_outdoor_train_lmdb/data.mdb": FILE,
      "church_outdoor_val_lmdb/data.mdb": FILE,
    });
    const dataset = await openDataset({ name: "lsun", path, size: 4, limit: 20, workers: 2 });
    assert.equal(dataset.name, "lsun church_outdoor");
    const everyThird = Array.from({ length: 20 }, (_, index) => 3 * index);
    assert.deepEqual(await numbersOf(dataset, "train"), everyThird);
    assert.deepEqual(await numbersOf(dataset, "test"), everyThird);
    assert.match(
      await messageOf(openDataset({ name: "lsun", path, category: "bedroom" })),
      new RegExp(
        `${join("bedroom_train_lmdb", "data.mdb")} must be there, got .*; LSUN is available from`,
      ),
    );
    assert.match(
      await messageOf(openDataset("lsun")),
      /--data\.path must name its folder, got none/,
    );
  },
);

fuzz(
  "lmdbValues",
  () => FILE,
  async (file) => (await valuesOf(file)).reduce((sum, value) => sum + value.length, 0),
  300,
);
