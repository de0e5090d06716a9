/** The program of the page that checks every operation in a browser on `webgpu`, forward and backward, beside `reference`. */
import { openDevice } from "../../core/device.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { checkForward, checkGradients, type Row } from "../core/check_operation.ts";
import { operationCases } from "../core/operation_cases.ts";

/** One row of `operation_cases.ts` in so many is checked, the first of each operation among them; all take minutes. */
const EVERY = 4;

async function main(): Promise<unknown> {
  const failures: string[] = [], checked: string[] = [];
  using reference = await openDevice("reference");
  using device = await openDevice("webgpu");
  for (const name of Object.keys(operationCases) as OperationName[]) {
    const rows: readonly Row<Attributes[typeof name]>[] = operationCases[name];
    for (const row of rows.filter((_, at) => at % EVERY === 0)) {
      try {
        await checkForward(reference, device, name, row);
        await checkGradients(reference, device, name, row);
      } catch (error) {
        failures.push(`${name}, ${row.about}: ${(error as Error).message}`);
      }
    }
    checked.push(name);
  }
  return { checked, failures };
}

const answer = await main().catch((error: Error) => ({
  checked: [],
  failures: [`${error.stack}`],
}));
await fetch("/result", { method: "POST", body: JSON.stringify(answer) });
