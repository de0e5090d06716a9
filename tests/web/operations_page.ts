/** The program of the page that checks every operation in a browser on `webgpu`, forward and backward, beside `reference`. */
import { openDevice } from "../../core/device.ts";
import type { OperationName } from "../../core/ops.ts";
import { sizeOf } from "../../core/shape.ts";
import { checkForward, checkGradients } from "../core/check_operation.ts";
import { casesOf, checkInPasses } from "./passes.ts";

/** One row of `operation_cases.ts` in so many is checked, the first of each operation among them; all take minutes. */
const EVERY = 8;

/** The operations whose shaders fold the values of threads also on software adapters. */
const FOLDING: readonly OperationName[] = ["softmax", "normalize", "groupNorm"];

/** How many elements the first operand of a row has at most that is checked again. */
const MOST_ELEMENTS = 2500;

using reference = await openDevice("reference");
const all = casesOf((_name, _row, at) => at % EVERY === 0);
const folding = all.filter(({ name, row }) =>
  FOLDING.includes(name) && sizeOf(row.operands[0].shape) <= MOST_ELEMENTS
);
await checkInPasses({}, all, folding, async (device, { name, row }) => {
  await checkForward(reference, device, name, row);
  await checkGradients(reference, device, name, row);
});
