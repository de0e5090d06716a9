/** The program of the page that the tests of threads in a browser open: functions that they call. */
import type { HostArray } from "../../core/backend.ts";
import { CpuMemory } from "../../core/cpu/memory.ts";
import { startMachine } from "../../core/cpu/threads.ts";
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

/** What comes of a kernel of two tasks, of one whose second task traps beyond the end of the memory, and of one more. */
async function trap(): Promise<readonly string[]> {
  const memory = new CpuMemory(), machine = await startMachine(memory, 2);
  const room = memory.allocate(200_000).address, end = memory.memory.buffer.byteLength;
  const fill = (address: number) => {
    machine.describe([address, machine.exports.jobAddress() + 40, 1, 0, 1, 0, 0, 32_768, 4, 0]);
    try {
      machine.exports.move();
      return "ran";
    } catch (error) {
      return error instanceof WebAssembly.RuntimeError ? "trapped" : String(error);
    }
  };
  const came = [room, end - 100_004, room].map(fill);
  machine.close();
  return came;
}

Object.assign(globalThis, { describe, train, compare, trap });
