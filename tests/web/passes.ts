/** Checks of operations in a browser on webgpu: with subgroups, if its adapter has them, and without. */
import type { Backend } from "../../core/backend.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { Device } from "../../core/tensor.ts";
import { openGpu } from "../../core/webgpu/adapter.ts";
import { WebGpuBackend, type WebGpuOptions } from "../../core/webgpu/backend.ts";
import type { Row } from "../core/check_operation.ts";
import { operationCases } from "../core/operation_cases.ts";

/** A row of an operation. */
export interface Case {
  readonly name: OperationName;
  readonly row: Row<Attributes[OperationName]>;
}

/** What was checked on a device. */
export interface Pass {
  /** What the device says of itself. */
  readonly device: string;
  /** Whether its kernels used subgroups. */
  readonly subgroups: boolean;
  readonly checked: readonly OperationName[];
  /** What was wrong, after the operation and the row. */
  readonly failures: readonly string[];
}

/** The rows that are chosen of the table. */
export function casesOf(
  chosen: (name: OperationName, row: Row<unknown>, at: number) => boolean,
): readonly Case[] {
  return (Object.keys(operationCases) as OperationName[]).flatMap((name) => {
    const rows: readonly Row<Attributes[typeof name]>[] = operationCases[name];
    return rows.filter((row, at) => chosen(name, row, at)).map((row) => ({ name, row }));
  });
}

/** Checks rows on a device with subgroups, if the adapter has them, and on one without. Sends the passes to the test.
 * @param all the rows of the first pass
 * @param again those of the second, if the first had subgroups
 */
export async function checkInPasses(
  options: WebGpuOptions,
  all: readonly Case[],
  again: readonly Case[],
  check: (device: Device, { name, row }: Case) => Promise<void>,
): Promise<void> {
  const passes: Pass[] = [];
  const pass = async (cases: readonly Case[], wanted: boolean): Promise<boolean> => {
    const opened = await openGpu();
    const subgroups = wanted && opened.subgroups !== undefined;
    const backend: unknown = new WebGpuBackend(opened, { ...options, subgroups });
    using device = new Device(backend as Backend);
    const failures: string[] = [];
    for (const { name, row } of cases) {
      await check(device, { name, row })
        .catch(({ message }: Error) => failures.push(`${name}, ${row.about}: ${message}`));
    }
    const checked = [...new Set(cases.map(({ name }) => name))];
    passes.push({ device: device.description, subgroups, checked, failures });
    return subgroups;
  };
  try {
    if (await pass(all, true)) await pass(again, false);
  } catch (error) {
    const failures = [`${(error as Error).stack}`];
    passes.push({ device: "none", subgroups: false, checked: [], failures });
  }
  await fetch("/result", { method: "POST", body: JSON.stringify(passes) });
}
