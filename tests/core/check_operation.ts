/** The helper that checks a row of the table: forward and backward, on a device and against the reference. */
import type { HostArray } from "../../core/backend.ts";
import { backward, execute, parameter } from "../../core/execute.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { type Attributes, type OperationName, operations } from "../../core/ops.ts";
import { sizeOf } from "../../core/shape.ts";
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
  SECOND_GRADIENT,
  SECOND_STEP,
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

/** Keeps what is computed of each operation's row, so that the checks of all devices draw the inputs and ask the
 * reference once. */
function once<T>(): (name: OperationName, row: Row<unknown>, compute: () => T) => T {
  const kept = new WeakMap<Row<unknown>, Map<OperationName, T>>();
  return (name, row, compute) => {
    const results = kept.get(row) ?? new Map<OperationName, T>();
    kept.set(row, results);
    if (!results.has(name)) results.set(name, compute());
    return results.get(name) as T;
  };
}

const inputsOnce = once<readonly HostArray[]>();
const weightsOnce = once<HostArray | undefined>();
const outputsOnce = once<Promise<HostArray[]>>();
const gradientsOnce = once<Promise<(HostArray | undefined)[]>>();
const secondOnce = once<Promise<SecondGradients>>();

function valuesOf(name: OperationName, row: Row<unknown>): readonly HostArray[] {
  return inputsOnce(
    name,
    row,
    () => row.operands.map((operand, index) => operand.values(keyFor(name, row, `input ${index}`))),
  );
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
  return weightsOnce(name, row, () => {
    const [output] = operations[name].outputs(row.operands, row.attributes);
    const passes = operations[name].gradient !== null && output.dtype === "float32" &&
      row.operands.some(({ dtype }) => dtype === "float32");
    return passes ? uniform(output.shape).values(keyFor(name, row, "weights")) : undefined;
  });
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
  const expected = await outputsOnce(name, row, () => outputsOf(reference, name, row, inputs));
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
  const gradients = () => gradientsOf(reference, name, row, inputs, weights);
  const expected = await gradientsOnce(name, row, gradients);
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

const FIRST = { step: DIFFERENCE_STEP, lost: 0 };

/** In a gradient, numbers of about 1 cancel, as in tanh's 1 − y². */
const SECOND = { step: SECOND_STEP, lost: 1 };

/** Checks a gradient against central differences along a random direction: Σ gradient·(x⁺ − x⁻) = loss(x⁺) − loss(x⁻).
 * @param at where the gradient was taken
 * @param options how many directions x⁺ is from there, and the size of what cancels in a term
 * @param termsAt the terms of the loss, which are summed in float64
 */
async function checkDirection(
  at: HostArray,
  gradient: HostArray,
  direction: HostArray,
  options: { readonly step: number; readonly lost: number },
  termsAt: (values: HostArray) => Promise<readonly number[]>,
  what: string,
): Promise<void> {
  const moved = (step: number) => at.map((x, i) => x + step * direction[i]) as HostArray;
  const { step, lost } = options;
  const ahead = moved(step), behind = moved(-step);
  const lossAhead = await termsAt(ahead), lossBehind = await termsAt(behind);
  const difference = total(lossAhead) - total(lossBehind);
  const changes = Array.from(gradient, (g, i) => g * (ahead[i] - behind[i]));
  const predicted = total(changes);
  const error = Math.abs(difference - predicted);
  const allowed = DIFFERENCES * norm(changes) +
    ROUNDING * (norm(lossAhead) + norm(lossBehind) + lost * Math.sqrt(lossAhead.length));
  assert.ok(
    error <= allowed,
    `${what}: finite differences give ${difference}, the gradient ${predicted}, ${allowed} allowed`,
  );
}

/** Checks the reference's gradients against central differences along a random direction of each float32 input. */
export async function checkDifferences<N extends OperationName>(
  reference: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const weights = lossWeights(name, row);
  if (weights === undefined || !isDerivative(row)) return;
  const inputs = valuesOf(name, row);
  const wanted = () => gradientsOf(reference, name, row, inputs, weights);
  const gradients = await gradientsOnce(name, row, wanted);
  for (const [index, gradient] of gradients.entries()) {
    if (gradient === undefined) continue;
    const direction = uniform(row.operands[index].shape).values(keyFor(name, row, `way ${index}`));
    const termsAt = async (values: HostArray): Promise<number[]> => {
      const [output] = await outputsOf(reference, name, row, inputs.with(index, values));
      return Array.from(output, (y, at) => y * weights[at]);
    };
    const what = show(name, row, `gradient of input ${index}`);
    await checkDirection(inputs[index], gradient, direction, FIRST, termsAt, what);
  }
}

// ---- gradients of gradients ----------------------------------------------------------------------------------

/** Elements of the operands and the output of a row whose second gradients are checked, at the most. */
const MOST_ELEMENTS = 20_000;

/** What a second gradient is taken of, Σ direction·gradient over all float32 inputs, and by: the inputs and, last, the
 * weights of the first loss. */
interface SecondGradients {
  /** The terms of the sum. */
  readonly terms: readonly number[];
  /** By each float32 input, undefined for the others, and by the weights. */
  readonly gradients: readonly (HostArray | undefined)[];
}

function secondGradientsOf<N extends OperationName>(
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
  values: readonly HostArray[],
): Promise<SecondGradients> {
  return inScope(device, async () => {
    const [output] = operations[name].outputs(row.operands, row.attributes);
    const shapes = [...row.operands.map(({ shape }) => shape), output.shape];
    const tensors = values.map((array, index) => {
      const tensor = device.tensor(array, shapes[index]);
      return tensor.dtype === "float32" ? parameter(tensor) : tensor;
    });
    const [y] = execute(device, name, tensors.slice(0, -1), row.attributes);
    const parameters = tensors.filter(({ requiresGradient }) => requiresGradient);
    const firsts = backward(sum(mul(y, tensors[tensors.length - 1])), parameters.slice(0, -1), {
      differentiable: true,
    });
    const directions = firsts.map(({ shape }, index) =>
      uniform(shape).values(keyFor(name, row, `direction ${index}`))
    );
    const loss = firsts.map((first, index) =>
      sum(mul(first, device.tensor(directions[index], first.shape)))
    ).reduce(add);
    const seconds = backward(loss, parameters);
    const terms = await Promise.all(
      firsts.map(async (first, index) =>
        Array.from(await first.floats(), (g, at) => g * directions[index][at])
      ),
    );
    const gradients = await Promise.all(tensors.map((tensor) => {
      const at = parameters.indexOf(tensor);
      return at < 0 ? undefined : seconds[at].floats();
    }));
    return { terms: terms.flat(), gradients };
  });
}

const isDerivative = (row: Row<unknown>): boolean =>
  (row.gradient ?? "derivative") === "derivative";

/** Whether second gradients are checked of a row. */
export function hasSecondGradient<N extends OperationName>(
  name: N,
  row: Row<Attributes[N]>,
): boolean {
  const weights = lossWeights(name, row);
  if (weights === undefined || !isDerivative(row)) return false;
  const elements = row.operands.reduce((sum, { shape }) => sum + sizeOf(shape), weights.length);
  return elements <= MOST_ELEMENTS;
}

/** Checks the reference's gradients of gradients against central differences of its gradients. */
export async function checkSecondDifferences<N extends OperationName>(
  reference: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const values = [...valuesOf(name, row), lossWeights(name, row)!];
  const seconds = () => secondGradientsOf(reference, name, row, values);
  const { gradients } = await secondOnce(name, row, seconds);
  for (const [index, gradient] of gradients.entries()) {
    if (gradient === undefined) continue;
    const direction = uniform([gradient.length]).values(keyFor(name, row, `turn ${index}`));
    const termsAt = async (moved: HostArray) =>
      (await secondGradientsOf(reference, name, row, values.with(index, moved))).terms;
    const what = show(name, row, `second gradient by operand ${index}`);
    await checkDirection(values[index], gradient, direction, SECOND, termsAt, what);
  }
}

/** Checks a device's gradients of gradients against the reference's. */
export async function checkSecondGradients<N extends OperationName>(
  reference: Device,
  device: Device,
  name: N,
  row: Row<Attributes[N]>,
): Promise<void> {
  const values = [...valuesOf(name, row), lossWeights(name, row)!];
  const seconds = () => secondGradientsOf(reference, name, row, values);
  const expected = await secondOnce(name, row, seconds);
  const got = await secondGradientsOf(device, name, row, values);
  expected.gradients.forEach((wanted, index) => {
    const gradient = got.gradients[index];
    if (wanted === undefined || gradient === undefined) return;
    const what = show(name, row, `second gradient by operand ${index}`);
    assertAgrees(gradient, wanted, SECOND_GRADIENT, what);
  });
}
