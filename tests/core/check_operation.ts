/** The helper that checks a row of the table: forward and backward, on a device and against the reference. */
import type { HostArray } from "../../core/backend.ts";
import { backward, execute, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { type Attributes, type OperationName, operations } from "../../core/ops.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import {
  assertAgrees,
  DIFFERENCE_STEP,
  DIFFERENCES,
  EXACT,
  FLOAT32,
  GRADIENT,
  ROUNDING,
  type Tolerance,
} from "./agreement.ts";
import { type Operand, uniform } from "./operands.ts";
import assert from "node:assert/strict";

/** One case of an operation with attributes `A`. */
export interface Row<A> {
  /** What is particular about it. */
  readonly about: string;
  /** Its inputs. */
  readonly operands: readonly Operand[];
  /** Its attributes. */
  readonly attributes: A;
  /** The tensors it updates in place, where it does. */
  readonly into?: readonly Operand[];
  /** How nearly the float32 outputs must agree; FLOAT32 unless said otherwise. */
  readonly tolerance?: Tolerance;
  /** What the gradient is. The `derivative` (by default) is compared with finite differences and between devices, a
   * `convention` (at a kink, or straight through) between devices, what is `undefined` (NaN and the like) not at all. */
  readonly gradient?: "derivative" | "convention" | "undefined";
  /** Judges the first output in another way than by its values. */
  readonly judge?: (got: HostArray, expected: HostArray, inputs: readonly HostArray[]) => void;
}

/** The same numbers for the same purpose in every run. */
function keyFor(name: string, row: Row<unknown>, purpose: string): RandomKey {
  return randomKey(20240607, `${name}: ${row.about}: ${purpose}`);
}

function valuesOf(name: OperationName, row: Row<unknown>): HostArray[] {
  return row.operands.map((operand, index) => operand.values(keyFor(name, row, `input ${index}`)));
}

function show(name: OperationName, row: Row<unknown>, part: string): string {
  const shapes = row.operands.map(({ shape }) => `[${shape}]`).join(" ");
  return `${part} of ${name} (${row.about}) at ${shapes} ${JSON.stringify(row.attributes)}`;
}

/** Runs `body` in a scope and fails if it leaves memory behind. */
async function inScope<T>(device: Device, body: () => Promise<T>): Promise<T> {
  const before = device.liveBytes;
  let result: T;
  {
    using _ = device.scope();
    result = await body();
  }
  assert.equal(device.liveBytes, before, `${device.name}: bytes alive after the scope`);
  return result;
}

const read = (tensor: Tensor): Promise<HostArray> =>
  tensor.dtype === "float32" ? tensor.floats() : tensor.integers();

/** The outputs of a row on a device. */
function outputsOf<N extends OperationName>(
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
  inputs: readonly HostArray[],
): Promise<HostArray[]> {
  return inScope(device, () => {
    const tensors = inputs.map((values, index) => device.tensor(values, row.operands[index].shape));
    const into = row.into?.map((operand, index) =>
      device.tensor(operand.values(keyFor(name, row, `into ${index}`)), operand.shape)
    );
    const outputs = execute(device, name, tensors, row.attributes, into);
    return Promise.all(outputs.map(read));
  });
}

/** The loss Σ weights·output of which gradients are taken: its weights, or nothing where no gradient passes. */
function lossWeights<N extends OperationName>(
  name: N,
  row: Row<Attributes[N]>,
): HostArray | undefined {
  const [output] = operations[name].outputs(row.operands, row.attributes);
  const passes = operations[name].gradient !== null && output.dtype === "float32" &&
    row.operands.some(({ dtype }) => dtype === "float32");
  return passes ? uniform(output.shape).values(keyFor(name, row, "weights")) : undefined;
}

/** The loss's gradients by the float32 inputs on a device; undefined for the others. */
function gradientsOf<N extends OperationName>(
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
  inputs: readonly HostArray[],
  weights: HostArray,
): Promise<(HostArray | undefined)[]> {
  return inScope(device, () => {
    const tensors = inputs.map((values, index) => {
      const tensor = device.tensor(values, row.operands[index].shape);
      return tensor.dtype === "float32" ? parameter(tensor) : tensor;
    });
    const [output] = execute(device, name, tensors, row.attributes);
    const loss = sum(mul(output, device.tensor(weights, output.shape)));
    const parameters = tensors.filter(({ requiresGradient }) => requiresGradient);
    const gradients = backward(loss, parameters);
    return Promise.all(tensors.map((tensor) => {
      const at = parameters.indexOf(tensor);
      if (at < 0) return undefined;
      assert.deepEqual(gradients[at].shape, tensor.shape, show(name, row, "gradient's shape"));
      return gradients[at].floats();
    }));
  });
}

const total = (terms: readonly number[]): number => terms.reduce((sum, term) => sum + term, 0);

const norm = (terms: readonly number[]): number => Math.sqrt(total(terms.map((term) => term ** 2)));

/** The outputs of a row on a device, from the same inputs on every device. */
export function forward<N extends OperationName>(
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<HostArray[]> {
  return outputsOf(device, name, row, valuesOf(name, row));
}

/** Checks a device's outputs against the reference's. */
export async function checkForward<N extends OperationName>(
  reference: Device,
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const inputs = valuesOf(name, row);
  const expected = await outputsOf(reference, name, row, inputs);
  const got = await outputsOf(device, name, row, inputs);
  expected.forEach((wanted, index) => {
    if (index === 0 && row.judge !== undefined) return row.judge(got[0], wanted, inputs);
    const tolerance = wanted instanceof Int32Array ? EXACT : row.tolerance ?? FLOAT32;
    assertAgrees(got[index], wanted, tolerance, show(name, row, `output ${index}`));
  });
}

/** Checks a device's gradients against the reference's. */
export async function checkGradients<N extends OperationName>(
  reference: Device,
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const weights = lossWeights(name, row);
  if (weights === undefined || row.gradient === "undefined") return;
  const inputs = valuesOf(name, row);
  const expected = await gradientsOf(reference, name, row, inputs, weights);
  const got = await gradientsOf(device, name, row, inputs, weights);
  const tolerance = typeof row.tolerance === "number"
    ? Math.max(row.tolerance, GRADIENT)
    : GRADIENT;
  expected.forEach((wanted, index) => {
    const gradient = got[index];
    if (wanted === undefined || gradient === undefined) return;
    assertAgrees(gradient, wanted, tolerance, show(name, row, `gradient of input ${index}`));
  });
}

/** Checks the reference's gradients against central differences along a random direction of each float32 input:
 * Σ gradient·(x⁺ − x⁻) = loss(x⁺) − loss(x⁻), the losses summed in float64. */
export async function checkDifferences<N extends OperationName>(
  reference: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const weights = lossWeights(name, row);
  if (weights === undefined || (row.gradient ?? "derivative") !== "derivative") return;
  const inputs = valuesOf(name, row);
  const gradients = await gradientsOf(reference, name, row, inputs, weights);
  const termsAt = async (values: readonly HostArray[]): Promise<number[]> => {
    const [output] = await outputsOf(reference, name, row, values);
    return Array.from(output, (y, at) => y * weights[at]);
  };
  for (const [index, gradient] of gradients.entries()) {
    if (gradient === undefined) continue;
    const direction = uniform(row.operands[index].shape).values(keyFor(name, row, `way ${index}`));
    const moved = (step: number) =>
      inputs.map((values, at) =>
        at === index ? values.map((x, i) => x + step * direction[i]) as HostArray : values
      );
    const ahead = moved(DIFFERENCE_STEP), behind = moved(-DIFFERENCE_STEP);
    const lossAhead = await termsAt(ahead), lossBehind = await termsAt(behind);
    const difference = total(lossAhead) - total(lossBehind);
    const changes = Array.from(gradient, (g, i) => g * (ahead[index][i] - behind[index][i]));
    const predicted = total(changes);
    const error = Math.abs(difference - predicted);
    const allowed = DIFFERENCES * norm(changes) + ROUNDING * (norm(lossAhead) + norm(lossBehind));
    assert.ok(
      error <= allowed,
      `${
        show(name, row, `gradient of input ${index}`)
      }: finite differences give ${difference}, the gradient ${predicted}, ${allowed} allowed`,
    );
  }
}
