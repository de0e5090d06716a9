import assert from "node:assert/strict";
import fc from "fast-check";
import { openParquetColumn } from "../../../data/formats/parquet.ts";
import { bytesAccess } from "../../../data/formats/random_access.ts";
import { readRuns } from "../../../data/formats/runs.ts";
import { fuzz } from "../fuzz.ts";
import { messageOf } from "../pictures.ts";

/** Files that Apache Arrow 25 (pyarrow) wrote: eight rows in groups of five, with the columns `label` (integers),
 * `image` (structures; `bytes` of row i is the byte i, 5i + 1 times, and null in row 3) and `raw` (the value of row
 * i % 3, and no bytes in row 6). Their pages are of both forms, packed in four ways, with dictionaries and without. */
const ARROW = ["v1-none", "v1-snappy", "v1-zstd", "v2-snappy", "v2-gzip"];

async function arrowFile(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return await Deno.readFile(
    new URL(`../../fixtures/parquet/arrow-${name}.parquet`, import.meta.url),
  );
}

async function valuesOf(
  file: Uint8Array<ArrayBuffer>,
  column: string,
  kind: "bytes" | "integers" = "bytes",
): Promise<Uint8Array[][]> {
  const { rows, read } = await openParquetColumn(bytesAccess(file), column, "a file", kind);
  return await Promise.all(rows.map(async (count, group) => {
    const values = await Array.fromAsync(read(group));
    assert.equal(values.length, count);
    return values;
  }));
}

const filled = (value: number) => new Uint8Array(5 * value + 1).fill(value);

for (const name of ARROW) {
  Deno.test(`columns written by Apache Arrow are read, ${name}`, async () => {
    const file = await arrowFile(name);
    const images = [0, 1, 2, 3, 4, 5, 6, 7].map(filled);
    images[3] = new Uint8Array(0);
    assert.deepEqual(await valuesOf(file, "image"), [images.slice(0, 5), images.slice(5)]);
    const raw = [0, 1, 2, 0, 1, 2, 0, 1].map(filled);
    raw[6] = new Uint8Array(0);
    assert.deepEqual(await valuesOf(file, "raw"), [raw.slice(0, 5), raw.slice(5)]);
    const labels = (await valuesOf(file, "label", "integers")).flat();
    assert.deepEqual(
      labels,
      [0, 1, 2, 3, 4, 5, 6, 7].map((index) => {
        return new Uint8Array(BigInt64Array.of(BigInt(index)).buffer);
      }),
    );
    assert.match(
      await messageOf(valuesOf(file, "label")),
      /no bytes in a column label \(--data.col/,
    );
  });
}

for (const name of ["v1-snappy", "v2-gzip"]) {
  fuzz(`openParquetColumn on ${name}`, () => arrowFile(name), async (file) => {
    const images = await valuesOf(file, "image"),
      labels = await valuesOf(file, "label", "integers");
    return [...images, ...labels].flat().reduce((sum, value) => sum + value.length, 0);
  }, 100);
}

Deno.test("a file that is not a Parquet file, or is truncated, is rejected", async () => {
  const file = await arrowFile("v1-snappy");
  for (const end of [0, 7, 100, file.length - 1]) {
    assert.match(
      await messageOf(valuesOf(file.slice(0, end), "image")),
      /^Cannot read a file: it must be a whole Parquet file with a column of images, got /,
    );
  }
});

/** Integers as runs, one for each stretch of equal values, or as groups of eight. */
function encodeRuns(values: readonly number[], bits: number, packed: boolean): Uint8Array {
  const bytes: number[] = [];
  const varint = (value: number) => {
    for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
    bytes.push(value);
  };
  if (packed) {
    const groups = Math.ceil(values.length / 8);
    varint(2 * groups + 1);
    const stream = Array.from({ length: 8 * groups }, (_, place) => values[place] ?? 0)
      .flatMap((value) =>
        Array.from({ length: bits }, (_, bit) => Math.floor(value / 2 ** bit) % 2)
      );
    for (let at = 0; at < stream.length; at += 8) {
      bytes.push(stream.slice(at, at + 8).reduce((sum, bit, place) => sum + bit * 2 ** place, 0));
    }
  } else {
    for (let at = 0; at < values.length;) {
      let end = at;
      while (end < values.length && values[end] === values[at]) end++;
      varint(2 * (end - at));
      for (let place = 0; place < bits; place += 8) {
        bytes.push(Math.floor(values[at] / 2 ** place) % 256);
      }
      at = end;
    }
  }
  return Uint8Array.from(bytes);
}

Deno.test("run-length and bit-packed integers are decoded", () => {
  const requests = fc.integer({ min: 1, max: 31 }).chain((bits) =>
    fc.tuple(
      fc.constant(bits),
      fc.array(
        fc.array(fc.integer({ min: 0, max: 2 ** bits - 1 }), { minLength: 1, maxLength: 20 }),
      ),
      fc.boolean(),
    )
  );
  fc.assert(fc.property(requests, ([bits, parts, packed]) => {
    // Packed groups hold eight integers each, so that only the last of several may be padded.
    const whole = parts.map((part) => packed ? part.slice(0, part.length - part.length % 8) : part);
    const last = parts.at(-1) ?? [];
    const bytes = [...whole, last].flatMap((part) => [...encodeRuns(part, bits, packed)]);
    const values = [...whole.flat(), ...last];
    assert.deepEqual([...readRuns(Uint8Array.from(bytes), bits, values.length)], values);
  }));
});

Deno.test("decoding runs takes no more memory than the requested integers", () => {
  const endless = Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x0f, 7); // 2³¹ − 1 times the value 7.
  assert.deepEqual([...readRuns(endless, 3, 4)], [7, 7, 7, 7]);
  assert.throws(() => readRuns(Uint8Array.of(4, 7), 3, 4), /2 bytes of runs for 4 integers/);
  assert.throws(() => readRuns(endless, 33, 4), /integers of 33 bits/);
});
