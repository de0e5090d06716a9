/** The safetensors format: what is written is read again, and what is malformed is refused. */
import type { HostTensor } from "../../core/host_tensor.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { philox, randomKey } from "../../core/random.ts";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { decodeSafetensors, encodeSafetensors } from "../../files/safetensors_bytes.ts";

const name = fc.string({ unit: "binary", maxLength: 12 }).filter((text) => text !== "__metadata__");

const shape = fc.array(fc.nat(4), { maxLength: 3 });

/** Arrays of any bit patterns, NaN and its payloads too. */
const tensor = fc.tuple(shape, fc.boolean(), fc.infiniteStream(fc.integer())).map(
  ([shape, isFloat, words]): HostTensor => {
    const count = shape.reduce((product, length) => product * length, 1);
    const bits = Int32Array.from(words.take(count));
    return { shape, values: isFloat ? new Float32Array(bits.buffer) : bits };
  },
);

const contents = fc.record({
  tensors: fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 5 }),
  metadata: fc.uniqueArray(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), {
    selector: ([key]) => key,
    maxLength: 3,
  }),
});

/** Arrays as comparable bits, since NaN has many. */
function bitsOf(tensors: ReadonlyMap<string, HostTensor>): Map<string, unknown> {
  return new Map(
    [...tensors].map(([key, { shape, values }]) => [key, {
      shape,
      isFloat: values instanceof Float32Array,
      bits: [...new Int32Array(values.slice().buffer)],
    }]),
  );
}

Deno.test("tensors survive a round trip bit for bit", () => {
  const property = fc.property(contents, ({ tensors, metadata }) => {
    const bytes = encodeSafetensors(new Map(tensors), new Map(metadata));
    const decoded = decodeSafetensors(bytes, "memory");
    assert.deepEqual(bitsOf(decoded.tensors), bitsOf(new Map(tensors)));
    assert.deepEqual(decoded.metadata, new Map(metadata));
  });
  fc.assert(property, { seed: 7, numRuns: 300 });
});

Deno.test("the same contents in any order give the same bytes, aligned to 8", () => {
  const property = fc.property(contents, ({ tensors, metadata }) => {
    const bytes = encodeSafetensors(new Map(tensors), new Map(metadata));
    const reversed = encodeSafetensors(
      new Map(tensors.toReversed()),
      new Map(metadata.toReversed()),
    );
    assert.deepEqual(bytes, reversed);
    const headerBytes = new DataView(bytes.buffer).getBigUint64(0, true);
    assert.equal(headerBytes % 8n, 0n);
    const again = decodeSafetensors(bytes, "memory");
    assert.deepEqual(encodeSafetensors(again.tensors, again.metadata), bytes);
  });
  fc.assert(property, { seed: 7, numRuns: 200 });
});

Deno.test("bytes inside a larger buffer are decoded", () => {
  const bytes = encodeSafetensors(new Map([["x", { shape: [2], values: Float32Array.of(1, 2) }]]));
  const larger = new Uint8Array(bytes.length + 5);
  larger.set(bytes, 3);
  const { tensors } = decodeSafetensors(larger.subarray(3, 3 + bytes.length), "memory");
  assert.deepEqual(tensors.get("x")?.values, Float32Array.of(1, 2));
  larger.fill(0);
  assert.deepEqual(tensors.get("x")?.values, Float32Array.of(1, 2), "the arrays are copies");
});

Deno.test("floats can be stored as float16, each rounded to the nearest", async () => {
  const values = Float32Array.of(1, -0.1, 65504, 2 ** -24, 2 ** -26, Infinity, NaN, 2049);
  const tensors = new Map<string, HostTensor>([
    ["counts", { shape: [2], values: Int32Array.of(7, 70_000) }],
    ["halves", { shape: [2, 4], values }],
  ]);
  const bytes = encodeSafetensors(tensors, new Map(), "F16");
  assert.equal(encodeSafetensors(tensors).length - bytes.length, 2 * values.length);
  const path = await Deno.makeTempFile();
  await writeSafetensors(path, tensors, new Map(), "F16");
  assert.deepEqual(await Deno.readFile(path), bytes);
  const expected = Float32Array.of(
    ...[1, -0.0999755859375, 65504, 2 ** -24, 0, Infinity, NaN, 2048],
  );
  for (const read of [decodeSafetensors(bytes, "memory"), await readSafetensors(path)]) {
    assert.deepEqual(read.tensors.get("halves"), { shape: [2, 4], values: expected });
    assert.deepEqual(read.tensors.get("counts"), tensors.get("counts"));
  }
  await Deno.remove(path);
  const large = new Map([["x", { shape: [1], values: Float32Array.of(1e5) }]]);
  assert.throws(() => encodeSafetensors(large, new Map(), "F16"), {
    name: "RangeError",
    message: 'Cannot encode "x": a value must be at most 65504 to be stored in float16, got 100000',
  });
});

Deno.test("values that cannot be stored are rejected", () => {
  const values = Float32Array.of(1, 2);
  assert.throws(() => encodeSafetensors(new Map([["x", { shape: [3], values }]])), {
    name: "TypeError",
    message: 'Cannot encode "x": shape [3] holds 3 values, got 2',
  });
  assert.throws(() => encodeSafetensors(new Map([["__metadata__", { shape: [2], values }]])), {
    name: "RangeError",
    message: 'Cannot encode "__metadata__": the name is reserved for the metadata',
  });
});

// ---- malformed files -----------------------------------------------------------------------------------------

/** A file of a header, given as text, and so many bytes of data. */
function file(header: string, dataBytes: number, headerBytes?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** The header's entry of an array. */
const entry = (name: string, start: number, end: number, shape = `[${(end - start) / 4}]`) =>
  `"${name}":{"dtype":"F32","shape":${shape},"data_offsets":[${start},${end}]}`;

const deep = (depth: number) => `{"x":${"[".repeat(depth)}${"]".repeat(depth)}}`;

const MALFORMED: Readonly<Record<string, readonly [Uint8Array, RegExp]>> = {
  "no bytes": [new Uint8Array(), /has at least 8 bytes, got 0$/],
  "seven bytes": [new Uint8Array(7), /has at least 8 bytes, got 7$/],
  "a header of no bytes": [new Uint8Array(8), /starts with {, got another kind/],
  "a header of 2^64 − 1 bytes": [
    file("{}", 0, 2n ** 64n - 1n),
    /at most 16777216 bytes here, got 1844/,
  ],
  "a header of 2^53 bytes": [file("{}", 0, 2n ** 53n), /at most 16777216 bytes here, got 9007/],
  "a header longer than the file": [file("{}", 0, 9_999_999n), /must hold its header of 9999999/],
  "a truncated header": [file(`{${entry("x", 0, 4)}}`, 4, 20n), /must be JSON/],
  "a header that swallows data": [file(`{${entry("x", 0, 8)}}`, 8, 60n), /must be JSON/],
  "a list for a header": [file("[]", 0), /starts with {/],
  "text that is not JSON": [file("{x}", 0), /must be JSON/],
  "text that is not UTF-8": [
    Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x7d),
    /must be JSON in UTF-8/,
  ],
  "truncated data": [file(`{${entry("x", 0, 16)}}`, 12), /announces 16 .* got 12: .* truncated/],
  "data that no array has": [file(`{${entry("x", 0, 4)}}`, 8), /longer than it should be/],
  "data without arrays": [file("{}", 4), /longer than it should be/],
  "a gap": [file(`{${entry("x", 0, 4)},${entry("y", 8, 12)}}`, 12), /"y" must start .* byte 4/],
  "a gap at the start": [file(`{${entry("x", 4, 8)}}`, 8), /"x" must start .* byte 0/],
  "an overlap": [
    file(`{${entry("x", 0, 8)},${entry("y", 4, 12)}}`, 12),
    /"y" must start .* byte 8/,
  ],
  "two arrays in one place": [
    file(`{${entry("x", 0, 4)},${entry("y", 0, 4)}}`, 4),
    /"y" must start/,
  ],
  "offsets that go backward": [file(`{${entry("x", 8, 4, "[1]")}}`, 8), /must be \[start, end\]/],
  "offsets below zero": [file(`{${entry("x", -4, 4, "[2]")}}`, 4), /must be \[start, end\]/],
  "one offset": [file('{"x":{"dtype":"F32","shape":[],"data_offsets":[4]}}', 4), /\[start, end\]/],
  "a shape that does not fit": [
    file(`{${entry("x", 0, 8, "[3]")}}`, 8),
    /takes 12 bytes, got .* 8/,
  ],
  "a shape beyond all numbers": [
    file(`{${entry("x", 0, 4, "[4611686018427387904,4611686018427387904]")}}`, 4),
    /must be a list of integers/,
  ],
  "a product beyond all numbers": [
    file(`{${entry("x", 0, 4, `[${Array(40).fill(2 ** 40)}]`)}}`, 4),
    /takes .* bytes, got a range of 4/,
  ],
  "a shape below zero": [file(`{${entry("x", 0, 4, "[-1,-1]")}}`, 4), /must be a list of integers/],
  "a fractional shape": [file(`{${entry("x", 0, 4, "[0.5,2]")}}`, 4), /must be a list of integers/],
  "no shape": [
    file('{"x":{"dtype":"F32","data_offsets":[0,4]}}', 4),
    /list of integers.* nothing$/,
  ],
  "another dtype": [
    file('{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', 8),
    /"x" must be of dtype F32, F16 or I32, got "F64"/,
  ],
  "an unknown property": [
    file('{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"stride":1}}', 4),
    /may have a dtype, a shape and data_offsets, got "stride"/,
  ],
  "an entry that is no object": [file('{"x":[0,4]}', 4), /"x" in the header must be an object/],
  "an entry that is null": [file('{"x":null}', 0), /"x" in the header must be an object, got null/],
  "metadata that is no object": [file('{"__metadata__":"x"}', 0), /must be an object, got "x"/],
  "metadata that is no text": [file('{"__metadata__":{"a":1}}', 0), /"a" must be a string, got 1/],
  "a name that comes twice": [file(`{${entry("x", 0, 4)},${entry("x", 4, 8)}}`, 8), /"x" twice/],
  "a name that comes twice, once escaped": [
    file(`{${entry("x", 0, 4)},${entry("\\u0078", 4, 8)}}`, 8),
    /every name must appear once in the header, got "x" twice/,
  ],
  "a property that comes twice": [
    file('{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /"dtype" twice/,
  ],
  "a name without end": [
    file(`{${entry("x".repeat(100_000), 0, 4, "[2]")}}`, 4),
    /x…" of shape \[2\] takes 8 bytes/,
  ],
  "metadata that comes twice": [
    file('{"__metadata__":{"a":"1","a":"2"}}', 0),
    /"a" twice/,
  ],
  "a header that is nested deeply": [file(deep(200_000), 0), /Cannot read/],
};

for (const [what, [bytes, message]] of Object.entries(MALFORMED)) {
  Deno.test(`${what} is rejected`, () => {
    assert.throws(() => decodeSafetensors(bytes, "it"), (error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, /^Cannot read it: /);
      assert.match(error.message, message);
      assert.ok(error.message.length < 500, "the message is short");
      return true;
    });
  });
}

/** A random stream that is the same in every run. */
function* wordsOf(purpose: string): Generator<number> {
  const words = new Uint32Array(4);
  for (let block = 0;; block++) {
    philox(randomKey(1, purpose), block, 0, words);
    yield* words;
  }
}

Deno.test("a modified file is rejected, or read within its bounds", () => {
  const valid = encodeSafetensors(
    new Map<string, HostTensor>([
      ["encoder.weight", { shape: [2, 3], values: new Float32Array(6).fill(1.5) }],
      ["encoder.bias", { shape: [3], values: new Float32Array(3) }],
      ["steps", { shape: [], values: Int32Array.of(70) }],
    ]),
    new Map([["format", "test"], ["step", "70"]]),
  );
  const scraps = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    "9",
    "1e999",
    "null",
    "__metadata__",
    "\\",
  ]
    .map((scrap) => new TextEncoder().encode(scrap));
  const words = wordsOf("tampering");
  const below = (limit: number): number => Number(words.next().value) % limit;
  let refused = 0;
  for (let run = 0; run < 4000; run++) {
    let bytes: Uint8Array = valid.slice();
    for (let change = below(3); change >= 0; change--) {
      const at = below(Math.max(1, bytes.length));
      const kind = below(5);
      if (kind === 0) bytes[at] ^= 1 << below(8);
      else if (kind === 1) bytes[at] = below(256);
      else if (kind === 2) bytes = bytes.slice(0, at);
      else {
        const scrap = kind === 3 ? scraps[below(scraps.length)] : bytes.slice(at, at + below(40));
        const rest = bytes.subarray(at + below(3));
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...scrap, ...rest]);
      }
    }
    try {
      const { tensors } = decodeSafetensors(bytes, "it");
      const sizes = [...tensors.values()].map(({ values }) => values.byteLength);
      assert.ok(sizes.reduce((sum, size) => sum + size, 0) < bytes.length);
      for (const { shape, values } of tensors.values()) {
        assert.equal(shape.reduce((product, length) => product * length, 1), values.length);
      }
    } catch (error) {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, /^Cannot read it: /);
      refused++;
    }
  }
  assert.ok(refused > 2000, `${refused} of 4000 were refused`);
});

Deno.test("files are written and read, and a missing one is named", async () => {
  const folder = await Deno.makeTempDir({ prefix: "codebook-safetensors-" });
  try {
    const path = `${folder}/x.safetensors`;
    const tensors = new Map([["x", { shape: [2], values: Int32Array.of(3, -4) }]]);
    await writeSafetensors(path, tensors, new Map([["step", "1"]]));
    assert.deepEqual(await readSafetensors(path), { tensors, metadata: new Map([["step", "1"]]) });
    await Deno.truncate(path, 90);
    await assert.rejects(() => readSafetensors(path), {
      name: "RangeError",
      message: /^Cannot read .*x\.safetensors: /,
    });
    await assert.rejects(() => readSafetensors(`${folder}/none`), {
      name: "Error",
      message: /^Cannot read .*none: the file must exist and be readable, got ENOENT/,
    });
    await assert.rejects(() => readSafetensors(folder), /must exist and be readable/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
