/** The program of the page that the tests of threads in a browser open: functions that they call. */
import type { HostArray } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { forward, type Row } from "../core/check_operation.ts";
import { operationCases } from "../core/operation_cases.ts";
import { compute, type Computed, trainCheckpoint } from "./program.ts";

/** One row of `operation_cases.ts` in so many is run, the first of each operation among them; all take a minute. */
const EVERY = 4;

/** What the device says of itself, or the error message. */
async function describe(threads?: number): Promise<string> {
  try {
    const device = await openDevice("cpu", { threads });
    device.close();
    return device.description;
  } catch (error) {
    return String(error);
  }
}

/** Two training steps and a checkpoint's evaluation, on the device with this number of threads. */
async function train(threads: number): Promise<Computed> {
  return await compute("cpu", await trainCheckpoint(), { threads });
}

function isSame(a: HostArray, b: HostArray): boolean {
  const own = new Int32Array(a.buffer), other = new Int32Array(b.buffer);
  return own.length === other.length && own.every((word, at) => word === other[at]);
}

/** The operations, and the cases whose results on this number of threads are not those on one thread. */
async function compare(
  threads: number,
): Promise<{ readonly names: readonly string[]; readonly different: readonly string[] }> {
  using one = await openDevice("cpu", { threads: 1 });
  using many = await openDevice("cpu", { threads });
  const names = Object.keys(operationCases) as OperationName[], different: string[] = [];
  for (const name of names) {
    const rows: readonly Row<Attributes[typeof name]>[] = operationCases[name];
    for (const row of rows.filter((_, at) => at % EVERY === 0)) {
      const expected = await forward(one, name, row), got = await forward(many, name, row);
      const same = got.every((values, output) => isSame(values, expected[output]));
      if (!same) different.push(`${name}, ${row.about}`);
    }
  }
  return { names, different };
}

Object.assign(globalThis, { describe, train, compare });
