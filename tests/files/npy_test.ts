/** NumPy's arrays: ours read again, NumPy's own bytes, and what is refused. */
import assert from "node:assert/strict";
import { decodeNpy, encodeNpy, type NpyArray } from "../../files/npy.ts";

/** A file as its specification says, around a header of one's own. */
function file(descr: string, shape: string, body: ArrayLike<number>): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  const header = text.padEnd(117) + "\n";
  const prefix = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0];
  return Uint8Array.from([...prefix, ...new TextEncoder().encode(header), ...Array.from(body)]);
}

Deno.test("arrays of each type and rank survive a round trip bit for bit, and their data are aligned to 64 bytes", () => {
  const arrays: NpyArray[] = [
    { shape: [], values: Float32Array.of(1.5) },
    { shape: [3], values: Int32Array.of(1, -2, 2 ** 31 - 1) },
    { shape: [1, 2, 2], values: Float64Array.of(0.1, -0, 1e300, NaN) },
  ];
  for (const array of arrays) {
    const bytes = encodeNpy(array);
    assert.equal((bytes.length - array.values.byteLength) % 64, 0);
    assert.deepEqual(decodeNpy(bytes, "it"), array);
  }
  assert.deepEqual(
    encodeNpy(arrays[1]),
    file("<i4", "3,", new Uint8Array(arrays[1].values.buffer)),
  );
});

Deno.test("8-byte integers become int32 if they fit", () => {
  const longs = (...values: bigint[]) => new Uint8Array(BigInt64Array.from(values).buffer);
  assert.deepEqual(decodeNpy(file("<i8", "2,", longs(5n, -1n)), "it"), {
    shape: [2],
    values: Int32Array.of(5, -1),
  });
  assert.throws(
    () => decodeNpy(file("<i8", "1,", longs(2n ** 31n)), "it"),
    /^RangeError: Cannot read it: every integer must fit into int32, got 2147483648$/,
  );
});

Deno.test("unsupported forms are rejected", () => {
  const body = new Uint8Array(8);
  const cases: [Uint8Array, RegExp][] = [
    [file(">i4", "2,", body), /little-endian floats or integers/],
    [file("<i4", "3,", body), /\[3\] must have 12 bytes, got 8$/],
    [file("<i4", "2,", body).subarray(0, 20), /little-endian/],
    [new Uint8Array(100), /NumPy array of version 1, got another kind/],
  ];
  for (const [bytes, message] of cases) assert.throws(() => decodeNpy(bytes, "it"), message);
  assert.throws(
    () => encodeNpy({ shape: [2], values: Int32Array.of(1) }),
    /^TypeError: Cannot encode an array: shape \[2\] holds 2 values, got 1$/,
  );
});
