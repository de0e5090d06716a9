/** Weights that need no file: tests/fixtures/metrics/networks.py computes the same from their names and shapes. */
import { crc32 } from "node:zlib";
import { sizeOf } from "../../core/shape.ts";
import type { Weights } from "../../metrics/networks/weights.ts";
import { uniform } from "./formula.ts";

/** Every weight that is asked for. */
export const SEEDED: Weights = {
  hash: "seeded",
  values(name, shape) {
    // The units are float32 numbers, and typed arrays map faster than they are made from others.
    return new Float32Array(uniform(sizeOf(shape), crc32(name))).map(scaleOf(name, shape));
  },
};

function scaleOf(name: string, shape: readonly number[]): (unit: number) => number {
  if (name.startsWith("lin")) return (unit) => unit;
  const isScale = name.endsWith("weight") && shape.length === 1;
  if (isScale || name.endsWith("running_var")) return (unit) => 0.5 + unit;
  if (shape.length === 1) return (unit) => 0.2 * unit - 0.1;
  const bound = Math.sqrt(6 / sizeOf(shape.slice(1)));
  return (unit) => (2 * unit - 1) * bound;
}
