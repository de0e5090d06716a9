/** PyTorch's files: those of tests/fixtures/pytorch, which its make.py wrote, and damaged ones. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decodePyTorch, readPyTorch } from "../../files/pytorch_file.ts";
import { philox, randomKey } from "../../core/random.ts";
import { encodeZip } from "../../files/zip.ts";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../fixtures/pytorch/${name}`, import.meta.url));

Deno.test("both PyTorch file formats give the same state dictionary", async () => {
  const expected: [string, readonly number[], readonly number[]][] = [
    ["0.weight", [2, 1, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7]],
    ["0.bias", [2], [10, 11]],
    ["1.weight", [2], [20, 21]],
    ["1.bias", [2], [30, 31]],
    ["1.running_mean", [2], [40, 41]],
    ["1.running_var", [2], [50, 51]],
    ["1.num_batches_tracked", [], [60]],
  ];
  for (const name of ["archive.pth", "pickles.pth"]) {
    const tensors = await readPyTorch(fixture(name));
    assert.deepEqual(
      [...tensors].map(([key, { shape, values }]) => [key, shape, [...values]]),
      expected,
    );
    assert.ok(tensors.get("1.num_batches_tracked")?.values instanceof Int32Array);
  }
});

Deno.test("views, nested dictionaries, and every element type are read", async () => {
  const tensors = await readPyTorch(fixture("nested.pt"));
  const values = Array.from({ length: 24 }, (_, at) => at / 8);
  const expected: Record<string, readonly [shape: readonly number[], values: readonly number[]]> = {
    whole: [[2, 3, 4], values],
    transposed: [
      [4, 3, 2],
      values.map((_, at) => values[at % 2 * 12 + Math.floor(at / 2) % 3 * 4 + Math.floor(at / 6)]),
    ],
    part: [[2, 2], [16, 18, 20, 22].map((at) => at / 8)],
    parameter: [[2], [1, 1]],
    empty: [[0, 3], []],
    half: [[4], values.slice(0, 4)],
    brain: [[4], values.slice(0, 4)],
    double: [[4], values.slice(0, 4)],
    long: [[2], [-5, 2 ** 31 - 1]],
    int: [[1], [7]],
  };
  assert.deepEqual([...tensors.keys()], Object.keys(expected).map((name) => `model.${name}`));
  for (const [name, [shape, own]] of Object.entries(expected)) {
    const tensor = tensors.get(`model.${name}`)!;
    assert.deepEqual([name, tensor.shape, [...tensor.values]], [name, shape, own]);
  }
});

const archive = (pickle: string, storage = new Uint8Array(4)) =>
  encodeZip(
    new Map([
      ["a/data.pkl", Uint8Array.from(pickle, (letter) => letter.charCodeAt(0))],
      ["a/data/0", storage],
    ]),
  );
/** A float storage "0" of so many elements, and a tensor of bytes that push its shape and strides. */
const tensor = (length: string, shape: string, strides: string) =>
  "\x80\x02}U\x01xctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n" +
  `U\x010U\x03cpu${length}tQK\x00(${shape}t(${strides}t\x89NtRs.`;

Deno.test("a file written by hand is read", () => {
  const bytes = archive(tensor("K\x01", "K\x01", "K\x01"));
  assert.deepEqual([...decodePyTorch(bytes, "it").get("x")!.values], [0]);
});

const REFUSED: Readonly<Record<string, readonly [Uint8Array, RegExp]>> = {
  "no bytes": [new Uint8Array(), /must be a PyTorch file, got another kind$/],
  "text": [new TextEncoder().encode("<html>"), /must be a PyTorch file/],
  "an archive without a pickle": [encodeZip(new Map([["a", new Uint8Array(1)]])), /data\.pkl/],
  "a call of the system": [
    archive("\x80\x02cos\nsystem\nU\x02id\x85R."),
    /must hold dictionaries and tensors only, got "os\.system"$/,
  ],
  "a call of the interpreter": [archive("\x80\x02c__builtin__\neval\n)R."), /"__builtin__\.eval"/],
  "a new object": [archive("\x80\x02cos\nx\n)\x81."), /plain data and tensors only, got opcode/],
  "another protocol": [archive("\x80\x04."), /must be of protocol 2, got 4$/],
  "an empty stack": [archive("\x80\x02."), /an empty stack$/],
  "a missing mark": [archive("\x80\x02t."), /must set a mark/],
  "an unknown memory": [archive("\x80\x02h\x05."), /nothing at 5$/],
  "a pickle without end": [archive("\x80\x02}"), /a truncated one$/],
  "a text longer than the pickle": [archive("\x80\x02X\xff\xff\xff\x7f."), /a truncated one$/],
  "a name without end": [archive("\x80\x02c" + "x".repeat(1000)), /a longer one$/],
  "a dictionary within itself": [archive("\x80\x02}q\x00U\x01xh\x00s."), /at most 16 deep/],
  "dictionaries that double": [
    archive(
      "\x80\x02}q\x00(" +
        Array.from({ length: 40 }, (_, k) => `K${String.fromCharCode(k)}Nu(`).join("") +
        "u" +
        Array.from({ length: 12 }, (_, depth) =>
          `}q${String.fromCharCode(depth + 1)}(` +
          Array.from({ length: 40 }, (_, k) =>
            `K${String.fromCharCode(k)}h${String.fromCharCode(depth)}`).join("") +
          "u").join("") +
        ".",
    ),
    /at most \d+ values/,
  ],
  "a tensor beyond its storage": [
    archive(tensor("K\x01", "K\x02", "K\x01")),
    /"x" must lie within its storage of 1 elements, got \[2\] up to element 1$/,
  ],
  "a tensor that repeats one element": [
    archive(tensor("K\x01", "J\xff\xff\xff\x7fK\xff", "K\x00K\x00")),
    /must be at most 4 times as large as the file/,
  ],
  "strides below zero": [
    archive(tensor("K\x01", "K\x01", "J\xff\xff\xff\xff")),
    /must have a shape and strides/,
  ],
  "a storage of other bytes": [
    archive(tensor("K\x02", "K\x01", "K\x01")),
    /storage "0" must have 8 bytes, got 4$/,
  ],
  "an unknown element type": [
    archive(tensor("K\x01", "K\x01", "K\x01").replace("Float", "Other")),
    /of a known type, got torch\.OtherStorage$/,
  ],
};

for (const [what, [bytes, message]] of Object.entries(REFUSED)) {
  Deno.test(`${what} is rejected`, () => {
    assert.throws(() => decodePyTorch(bytes, "it"), (error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, /^Cannot read it: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("integers beyond 32 bits and whole modules are rejected, and a missing file is named", async () => {
  await assert.rejects(() => readPyTorch(fixture("large.pt")), /must fit 32 bits, got 2147483648$/);
  await assert.rejects(() => readPyTorch(fixture("module.pt")), /tensors only, got/);
  await assert.rejects(
    () => readPyTorch(fixture("none")),
    /must exist and be readable, got ENOENT/,
  );
});

Deno.test("a modified file is rejected, or read within its bounds", async () => {
  const files = ["archive.pth", "pickles.pth", "nested.pt"].map((name) =>
    Deno.readFile(fixture(name))
  );
  const words = new Uint32Array(4);
  let drawn = 0;
  const below = (limit: number): number => {
    if (drawn % 4 === 0) philox(randomKey(1, "tampering"), drawn / 4, 0, words);
    return words[drawn++ % 4] % limit;
  };
  let refused = 0;
  const RUNS = 4000;
  const originals = await Promise.all(files);
  for (let run = 0; run < RUNS; run++) {
    let bytes = originals[run % originals.length].slice();
    for (let change = below(3); change >= 0; change--) {
      const at = below(Math.max(1, bytes.length)), kind = below(4);
      if (kind === 0) bytes[at] ^= 1 << below(8);
      else if (kind === 1) bytes[at] = below(256);
      else if (kind === 2) bytes = bytes.slice(0, at);
      else bytes.copyWithin(at, below(Math.max(1, bytes.length)), bytes.length);
    }
    try {
      const sizes = [...decodePyTorch(bytes, "it").values()].map(({ values }) => values.byteLength);
      assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 4 * bytes.length);
    } catch (error) {
      assert.ok(error instanceof RangeError, `${error}\n${(error as Error).stack}`);
      assert.match(error.message, /^Cannot read it: /);
      refused++;
    }
  }
  assert.ok(refused > RUNS / 2, `${refused} of ${RUNS} were refused`);
});
