/** Every operation, forward and backward, on every device: the rows of `operation_cases.ts`. */
import { type Attributes, type OperationName, operations } from "../../core/ops.ts";
import { openTestDevices } from "../helpers.ts";
import {
  checkDifferences,
  checkForward,
  checkGradients,
  checkSecondDifferences,
  checkSecondGradients,
  hasSecondGradient,
  type Row,
} from "./check_operation.ts";
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

/** The operations of which no row has a derivative: a convention, or a refusal. */
const WITHOUT_DERIVATIVE: ReadonlySet<OperationName> = new Set([
  "straightThrough",
  "maxPoolGradient",
  "groupNormGradient",
  "groupNormParameterGradient",
  "attentionGradient",
]);

/** The operations whose gradient has no gradient itself. */
const ONCE_ONLY: ReadonlySet<OperationName> = new Set([
  "maxPool",
  "groupNorm",
  "attention",
]);

function registerSecond<N extends OperationName>(
  name: N,
  rows: readonly Row<Attributes[N]>[],
): void {
  if (ONCE_ONLY.has(name)) {
    Deno.test(`differentiating the gradient of ${name} throws an error`, async () => {
      await assert.rejects(() => checkSecondDifferences(reference, name, rows[0]), {
        name: "TypeError",
        message: `Cannot backpropagate: ${name} has no second derivative`,
      });
    });
    return;
  }
  Deno.test(`the gradient of the gradient of ${name} agrees with finite differences`, async () => {
    assert.ok(rows.length > 0, "a row has one");
    await checkRows(rows, (row) => checkSecondDifferences(reference, name, row));
  });
  for (const device of others) {
    Deno.test(`the gradient of the gradient of ${name} on ${device.name} agrees with the reference`, () =>
      checkRows(rows, (row) => checkSecondGradients(reference, device, name, row)));
  }
}

function register<N extends OperationName>(name: N): void {
  const rows: readonly Row<Attributes[N]>[] = operationCases[name];
  if (operations[name].gradient !== null && !WITHOUT_DERIVATIVE.has(name)) {
    Deno.test(`the gradient of ${name} agrees with finite differences`, () =>
      checkRows(rows, (row) => checkDifferences(reference, name, row)));
    registerSecond(name, rows.filter((row) => hasSecondGradient(name, row)));
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
