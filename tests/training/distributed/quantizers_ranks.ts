/** Run by mpirun: every quantiser over the ranks against the same one in one process that has the whole batch. */
import assert from "node:assert/strict";
import type { HostArray } from "../../../core/backend.ts";
import { assign, backward, parameter, withoutGradients } from "../../../core/execute.ts";
import { add, mul, sub } from "../../../core/functions/elementwise.ts";
import { slice } from "../../../core/functions/movement.ts";
import { mean } from "../../../core/functions/reductions.ts";
import { openDevice } from "../../../core/device.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device, Tensor } from "../../../core/tensor.ts";
import { type Replicas, SINGLE } from "../../../nn/replicas.ts";
import { createQuantizer, type QuantizerConfig } from "../../../quantizers/registry.ts";
import type { Quantized, Quantizer } from "../../../quantizers/quantizer.ts";
import { openMpi } from "../../../training/distributed/mpi.ts";
import { replicasOver } from "../../../training/distributed/replicas.ts";
import { contextOf, FEATUREWISE, VARIANTS } from "../../quantizers/variants.ts";
import { draw } from "../../each_device.ts";
import { assertClose, CANCELLING } from "../../tolerances.ts";

const STEPS = 3;
/** Images a rank, and positions an image: many features a code, as one that is the mean of two is as near to both, so
 * that rounding chooses its anchor. */
const [IMAGES, POSITIONS] = [8, 5];
const LEARNING_RATE = 0.05;

interface Case {
  readonly name: string;
  readonly make: (device: Device) => Quantizer;
  /** What is padding in the global batch. */
  readonly masked?: "some" | "all of rank 1";
}

const more: readonly QuantizerConfig[] = [
  { type: "near-codes", resetEverySteps: 2, resetBelow: 0.5 },
  { type: "vanilla", replaceBelow: 2, countDecay: 0.5, initialization: "kmeans++" },
  { type: "clustered", anchor: "random", codebookSize: 50 }, // A pool that fills slowly.
  { type: "clustered", contrastive: true },
  { type: "clustered", anchor: "closest", decay: 0.5, resetMoments: true },
  { type: "clustered", online: false },
  { type: "clustered-ema", anchor: "distinct", replaceBelow: 1 },
  { type: "clustered-ema", anchor: "error" },
];

const own = (config: QuantizerConfig): Case => ({
  name: JSON.stringify(config),
  make: (device) =>
    createQuantizer(
      device,
      { codebookSize: 6, codebookDim: 4, ...config } as { type: "vanilla" },
      randomKey(3, "initial"),
    ),
});

const plain: readonly Case[] = FEATUREWISE;
const CASES: readonly Case[] = [
  ...VARIANTS,
  ...more.map(own),
  ...plain.map(({ name, make }): Case => ({ name: `${name}, masked`, make, masked: "some" })),
  ...plain.map(({ name, make }): Case => ({
    name: `${name}, a rank without a feature`,
    make,
    masked: "all of rank 1",
  })),
];

using communicator = openMpi({ timeout: 60 });
const { rank, size } = communicator;

/** The rows of this rank. */
function partOf(whole: Tensor): Tensor {
  const shape = [whole.shape[0] / size, ...whole.shape.slice(1)];
  return slice(whole, [rank * shape[0], ...shape.slice(1).map(() => 0)], shape);
}

interface Step {
  readonly result: Quantized;
  /** Their mean over the ranks. */
  readonly losses: ReadonlyMap<string, Tensor>;
  readonly ofFeatures: Tensor;
  readonly ofParameters: readonly Tensor[];
}

/** A step of training with plain gradient descent. */
function train(
  quantizer: Quantizer,
  features: Tensor,
  upstream: Tensor,
  step: number,
  mask: Tensor | undefined,
  replicas: Replicas,
): Step {
  const context = { ...contextOf(step, true, mask), replicas };
  quantizer.begin(features, context);
  const result = quantizer.quantize(features, context);
  const loss = Object.values(result.losses).reduce(add, mean(mul(result.quantized, upstream)));
  const parameters = quantizer.parameters();
  const [ofFeatures, ...own] = backward(loss, [features, ...parameters]);
  return withoutGradients(() => {
    const average = (values: readonly Tensor[]) =>
      replicas.sumAll(values).map((value) => mul(value, 1 / replicas.count));
    const ofParameters = average(own);
    quantizer.update({ features, ...result }, context);
    parameters.forEach((weight, index) =>
      assign(weight, sub(weight.view(), mul(ofParameters[index], LEARNING_RATE)))
    );
    const names = Object.keys(result.losses);
    const losses = average(Object.values(result.losses));
    return {
      result,
      losses: new Map(names.map((name, index) => [name, losses[index]])),
      ofFeatures: mul(ofFeatures, 1 / replicas.count),
      ofParameters,
    };
  });
}

function maskOf(device: Device, masked: Case["masked"], step: number): Tensor | undefined {
  const shape = [size * IMAGES, POSITIONS];
  if (masked === undefined) return undefined;
  if (masked === "some") return device.tensor(presentAt(step), shape);
  return device.tensor(
    Int32Array.from(
      { length: shape[0] * POSITIONS },
      (_, place) => Math.floor(place / (IMAGES * POSITIONS)) === 1 ? 0 : 1,
    ),
    shape,
  );
}

/** The later a position, the rarer a feature, so that ranks have different numbers of them. */
function presentAt(step: number): Int32Array<ArrayBuffer> {
  const length = size * IMAGES * POSITIONS;
  const drawn = draw([length], `mask ${step}`, 0, 1);
  return Int32Array.from(drawn, (value, place) => value > place / length * 0.8 ? 1 : 0);
}

/** The state is the same on all ranks, bit for bit, and that of one process but for the order of sums. */
async function compareStates(part: Quantizer, one: Quantizer, what: string): Promise<void> {
  const expected = await one.stateDictionary();
  for (const [entry, { values }] of await part.stateDictionary()) {
    const all = values instanceof Float32Array
      ? new Float32Array(size * values.length)
      : new Int32Array(size * values.length);
    communicator.gather(values, all, `the state ${entry}`);
    for (let other = 0; other < size; other++) {
      const theirs = all.subarray(other * values.length, (other + 1) * values.length);
      assert.deepEqual(theirs, values, `${what}, ${entry}: ranks ${rank} and ${other}`);
    }
    compare(values, expected.get(entry)!.values, `${what}, ${entry}`);
  }
}

/** Sums in another order: what is 0 but for rounding may be any small number. */
const ROUNDING = 1e-6;

function compare(got: HostArray, expected: HostArray, what: string): void {
  if (expected.every((value, index) => Math.abs(value - got[index]) <= ROUNDING)) return;
  assertClose(got, expected, CANCELLING, what);
}

async function check(device: Device, { name, make, masked }: Case): Promise<void> {
  const replicas = replicasOver(communicator, device);
  using _case = device.scope();
  const [part, one] = [make(device), make(device)];
  const shape = [size * IMAGES, ...one.grid ?? [POSITIONS], one.codebookDim];
  for (let step = 0; step < STEPS; step++) {
    using _step = device.scope();
    const what = `${device.name}, ${name}, step ${step}`;
    const values = draw(shape, `batch ${step}`, -1, 2);
    const features = parameter(device.tensor(values, shape));
    const upstream = device.tensor(draw(shape, `upstream ${step}`), shape);
    const mask = maskOf(device, masked, step);
    const own = parameter(withoutGradients(() => partOf(features)));
    const ownMask = mask === undefined ? undefined : partOf(mask);
    const whole = train(one, features, upstream, step, mask, SINGLE);
    const mine = train(part, own, partOf(upstream), step, ownMask, replicas);
    assert.deepEqual(
      await mine.result.indices.integers(),
      await partOf(whole.result.indices).integers(),
      `${what}, indices`,
    );
    assert.deepEqual(
      await replicas.sum(mine.result.usage).integers(),
      await whole.result.usage.integers(),
      `${what}, usage`,
    );
    const close = async (got: Tensor, expected: Tensor, thing: string) =>
      compare(await got.floats(), await expected.floats(), `${what}, ${thing}`);
    await close(mine.result.quantized, partOf(whole.result.quantized), "quantized");
    await close(mine.ofFeatures, partOf(whole.ofFeatures), "the features' gradient");
    for (const [loss, value] of mine.losses) await close(value, whole.losses.get(loss)!, loss);
    for (const [index, gradient] of mine.ofParameters.entries()) {
      await close(gradient, whole.ofParameters[index], `gradient ${index}`);
    }
    await compareStates(part, one, what);
  }
}

const chosen = CASES.filter(({ name }) => name.includes(Deno.args[0] ?? ""));
for (const name of ["cpu", "reference"] as const) {
  using device = await openDevice(name, { threads: 1, blas: "off" });
  const cases = name === "cpu" ? chosen : chosen.filter(({ masked }) => masked === undefined);
  for (const test of cases) await check(device, test);
}
console.log(`rank ${rank} of ${size}: ${chosen.length} quantisers agree`);
