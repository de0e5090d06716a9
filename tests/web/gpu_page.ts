/** The program of the page that checks in a browser the shaders that only real GPUs run otherwise, forward, and that they
 * give the same bits every time. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { checkForward, forward } from "../core/check_operation.ts";
import { GPU_ROWS } from "./gpu_rows.ts";
import { casesOf, checkInPasses } from "./passes.ts";

using reference = await openDevice("reference");
const rows = casesOf((name, { about }) => GPU_ROWS[name]?.includes(about) ?? false);
await checkInPasses({ software: false }, rows, rows, async (device, { name, row }) => {
  await checkForward(reference, device, name, row);
  const [once, again] = [await forward(device, name, row), await forward(device, name, row)];
  const words = once.map(({ buffer }) => [...new Int32Array(buffer)]);
  assert.deepEqual(again.map(({ buffer }) => [...new Int32Array(buffer)]), words, "another time");
});
