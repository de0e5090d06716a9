/** The program of the page that checks in a browser the shaders that only real GPUs run otherwise, forward. */
import type { Backend } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import { Device } from "../../core/tensor.ts";
import { openGpu } from "../../core/webgpu/adapter.ts";
import { WebGpuBackend } from "../../core/webgpu/backend.ts";
import { checkForward, type Row } from "../core/check_operation.ts";
import { operationCases } from "../core/operation_cases.ts";

/** A row of the kinds of shaders that are others on real GPUs. The tiles of attention are not among them: very wide heads
 * take them on software adapters too. */
const ROWS: { readonly [N in OperationName]?: string } = {
  matmul: "batches, both transposed",
  crossEntropy: "many classes, smoothing 0.1",
  groupNorm: "images, SiLU",
  nearest: "odd sizes, l2, noise",
};

async function main(): Promise<unknown> {
  const failures: string[] = [], checked: string[] = [];
  using reference = await openDevice("reference");
  const { device: gpu, report } = await openGpu();
  const backend: unknown = new WebGpuBackend(gpu, report, { software: false });
  using device = new Device(backend as Backend);
  for (const [key, about] of Object.entries(ROWS)) {
    const name = key as OperationName;
    const rows: readonly Row<Attributes[typeof name]>[] = operationCases[name];
    for (const row of rows.filter((row) => row.about === about)) {
      await checkForward(reference, device, name, row)
        .catch((error: Error) => failures.push(`${name}, ${about}: ${error.message}`));
      checked.push(name);
    }
  }
  return { checked, failures, expected: Object.keys(ROWS) };
}

const answer = await main().catch((error: Error) => ({
  checked: [],
  failures: [`${error.stack}`],
  expected: [],
}));
await fetch("/result", { method: "POST", body: JSON.stringify(answer) });
