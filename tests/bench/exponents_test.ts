/** The exponents of `bench --scaling`. */
import assert from "node:assert/strict";
import { exponentsOf } from "../../bench/exponents.ts";
import type { BenchRow } from "../../bench/row.ts";

function row(value: number, ms: number, threads?: number): BenchRow {
  const varied = { of: "nearest", size: "N", value, expected: 1 };
  return { bench: "quantize", device: "cpu", shape: `N=${value}`, ms, threads, varied };
}

Deno.test("a power law is recovered, whatever the order of its rows", () => {
  const rows = [4, 1, 9].map((value) => row(value, 7 * value ** 1.5));
  const [{ exponent, last, values, ...rest }, ...others] = exponentsOf(rows);
  assert.deepEqual([values, rest, others], [[1, 4, 9], {
    of: "nearest",
    size: "N",
    expected: 1,
  }, []]);
  assert.ok(Math.abs(exponent - 1.5) < 1e-12 && Math.abs(last - 1.5) < 1e-12);
});

Deno.test("a fixed cost lowers the exponent of all sizes, and that of the largest less", () => {
  const [{ exponent, last }] = exponentsOf([1, 10, 100].map((value) => row(value, 5 + value)));
  // ln 6, ln 15 and ln 105 over ln 1, ln 10 and ln 100: by hand.
  assert.ok(Math.abs(exponent - (Math.log(105) - Math.log(6)) / Math.log(100)) < 1e-12);
  assert.ok(Math.abs(last - Math.log10(7)) < 1e-12);
});

Deno.test("each number of threads has its own fit, and all shapes share one over the threads", () => {
  const found = exponentsOf(
    [1, 2].flatMap((threads) => [10, 20].map((value) => row(value, value / threads, threads))),
  );
  assert.deepEqual(found.map(({ of, size, expected }) => [of, size, expected]), [
    ["nearest, threads: 1", "N", 1],
    ["nearest, threads: 2", "N", 1],
    ["quantize", "threads", -1],
  ]);
  assert.deepEqual(found.map(({ exponent }) => Math.round(1e9 * exponent) / 1e9), [1, 1, -1]);
});

Deno.test("a value that was measured twice counts twice", () => {
  const [{ exponent, last, values }] = exponentsOf([row(1, 2), row(2, 4), row(2, 4)]);
  assert.deepEqual(values, [1, 2]);
  assert.ok(Math.abs(exponent - 1) < 1e-12 && Math.abs(last - 1) < 1e-12);
});

Deno.test("a size with one value has no exponent", () => {
  assert.deepEqual(exponentsOf([row(5, 1)]), []);
});
