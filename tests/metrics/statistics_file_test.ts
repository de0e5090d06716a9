/** Files of feature statistics: NumPy's, made by hand as its specification says, and ours. */
import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { decodeStatistics, encodeStatistics } from "../../metrics/statistics_file.ts";
import { encodeNpy } from "../../files/npy.ts";
import { encodeZip, ZipArchive } from "../../files/zip.ts";

const gaussian = {
  mean: Float64Array.of(0.1, -2, 3),
  covariance: Float64Array.of(1, 0.5, 0, 0.5, 2, 0, 0, 0, 3),
};

Deno.test("statistics survive a round trip bit for bit, and headers are aligned", () => {
  const bytes = encodeStatistics(gaussian);
  assert.deepEqual(decodeStatistics(bytes, "it"), gaussian);
  const mean = new ZipArchive(bytes, "it").read("mu.npy", 1000);
  assert.equal((mean.length - 24) % 64, 0);
  assert.deepEqual([...mean.subarray(0, 10)], [
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    1,
    0,
    118,
    0,
  ]);
  assert.match(
    new TextDecoder().decode(mean.subarray(10)),
    /^\{'descr': '<f8', 'fortran_order': False, 'shape': \(3,\), \} +\n/,
  );
});

Deno.test("compressed archives by np.savez_compressed are read", () => {
  // The same archive with its first entry deflated: both headers get the method and the packed size.
  const contents = new Uint8Array(5000).fill(7);
  const stored = encodeZip(new Map([["a", contents]]));
  const packed = new Uint8Array(deflateRawSync(contents));
  const head = stored.slice(0, 31), tail = stored.slice(31 + contents.length);
  const bytes = Uint8Array.from([...head, ...packed, ...tail]);
  const view = new DataView(bytes.buffer), directory = 31 + packed.length;
  view.setUint16(8, 8, true);
  view.setUint32(18, packed.length, true);
  view.setUint16(directory + 10, 8, true);
  view.setUint32(directory + 20, packed.length, true);
  view.setUint32(bytes.length - 6, directory, true);
  assert.deepEqual(new ZipArchive(bytes, "it").read("a", 5000), contents);
  assert.throws(() => new ZipArchive(bytes, "it").read("a", 4999), /at most 4999 bytes, got 5000$/);
  view.setUint32(directory + 24, 400, true);
  assert.throws(() => new ZipArchive(bytes, "it").read("a", 5000), /must unpack to 400 bytes/);
});

Deno.test("files of another form are rejected, and every damaged byte is detected or harmless", () => {
  assert.throws(() => decodeStatistics(new Uint8Array(9), "it"), {
    name: "RangeError",
    message: /^Cannot read it: it must be a ZIP archive, got /,
  });
  const array = encodeNpy({ shape: [3], values: gaussian.mean });
  const short = encodeNpy({ shape: [3, 3], values: gaussian.covariance }).subarray(0, 128 + 32);
  const wrong = encodeZip(new Map([["mu.npy", array], ["sigma.npy", short]]));
  assert.throws(() => decodeStatistics(wrong, "it"), /must have 72 bytes, got 32$/);
  const whole = encodeNpy({ shape: [3], values: Int32Array.of(1, 2, 3) });
  assert.throws(
    () => decodeStatistics(encodeZip(new Map([["mu.npy", whole]])), "it"),
    /Cannot read it \(mu\.npy\): it must be of floats, got integers$/,
  );
  assert.throws(() => decodeStatistics(encodeZip(new Map()), "it"), /must hold "mu\.npy"/);
  const bytes = encodeStatistics(gaussian);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] ^= 0x10;
    try {
      assert.deepEqual(decodeStatistics(damaged, "it"), gaussian, `byte ${at}`);
    } catch (error) {
      assert.ok(error instanceof RangeError, `byte ${at}: ${error}`);
    }
  }
});
