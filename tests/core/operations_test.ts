/** Every operation, forward and backward, on every device: the rows of `operation_cases.ts`. */
import { type Attributes, type OperationName, operations } from "../../core/ops.ts";
import { openTestDevices } from "../helpers.ts";
import { checkDifferences, checkForward, checkGradients, type Row } from "./check_operation.ts";
import { operationCases } from "./operation_cases.ts";
import assert from "node:assert/strict";

const [reference, ...others] = await openTestDevices();

/** Checks all rows and then fails with everything that was wrong. */
async function checkRows<A>(
  rows: readonly Row<A>[],
  check: (row: Row<A>) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  for (const row of rows) {
    try {
      await check(row);
    } catch (error) {
      failures.push(`${row.about}: ${error instanceof Error ? error.message : error}`);
    }
  }
  assert.ok(failures.length === 0, `\n${failures.join("\n")}`);
}

function register<N extends OperationName>(name: N): void {
  const rows: readonly Row<Attributes[N]>[] = operationCases[name];
  if (operations[name].gradient !== null) {
    Deno.test(`the gradient of ${name} agrees with finite differences`, () =>
      checkRows(rows, (row) => checkDifferences(reference, name, row)));
  }
  for (const device of others) {
    Deno.test(`${name} on ${device.name} agrees with the reference, forward and backward`, () =>
      checkRows(rows, async (row) => {
        await checkForward(reference, device, name, row);
        await checkGradients(reference, device, name, row);
      }));
  }
}

for (const name of Object.keys(operationCases)) register(name as OperationName);
