/** Memory-bound operations: bytes read and written. */
import { assign } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { add, exp, relu } from "../core/functions/elementwise.ts";
import { sum } from "../core/functions/reductions.ts";
import { randomKey } from "../core/random.ts";
import { type Bench, fastest } from "./row.ts";

const LENGTH = 2 ** 23;

/** Rows for a copy (the memory's rate), a sum of two arrays, and others. */
export const elementwiseBench: Bench = async function* (device, { runs }) {
  using _scope = device.scope();
  const [a, b] = ["a", "b"].map((name) => uniform(device, [LENGTH], randomKey(1, name), -1, 1));
  const rows: readonly (readonly [string, number, () => void])[] = [
    ["copy", 2, () => assign(b, a)],
    ["add", 3, () => add(a, b)],
    ["relu", 2, () => relu(a)],
    ["exp", 2, () => exp(a)],
    ["sum", 1, () => sum(a)],
  ];
  for (const [name, arrays, body] of rows) {
    const ms = await fastest(device, runs, body);
    yield {
      bench: "elementwise",
      device: device.name,
      shape: `${name} ${LENGTH}`,
      ms,
      gigabytes_per_second: arrays * LENGTH * 4 / ms / 1e6,
    };
  }
};
