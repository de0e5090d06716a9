/** The program of the page that checks in a browser the shaders that only real GPUs run otherwise, forward, and that those
 * that fold the values of threads give the same bits every time. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { checkForward, forward } from "../core/check_operation.ts";
import { FOLDING_ROWS, OTHER_ROWS } from "./gpu_rows.ts";
import { casesOf, checkInPasses } from "./passes.ts";

using reference = await openDevice("reference");
const folding = casesOf((name, { about }) => FOLDING_ROWS[name]?.includes(about) ?? false);
const others = casesOf((name, { about }) => OTHER_ROWS[name]?.includes(about) ?? false);
await checkInPasses(
  { software: false },
  [...folding, ...others],
  folding,
  async (device, { name, row }) => {
    await checkForward(reference, device, name, row);
    if (!(name in FOLDING_ROWS)) return;
    const [once, again] = [await forward(device, name, row), await forward(device, name, row)];
    const words = once.map(({ buffer }) => [...new Int32Array(buffer)]);
    assert.deepEqual(again.map(({ buffer }) => [...new Int32Array(buffer)]), words, "another time");
  },
);
