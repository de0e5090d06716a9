/** Adam and AdamW against their equations in float64. */
import assert from "node:assert/strict";
import { parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Adam, type AdamOptions, AdamW } from "../../nn/optimizers.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, OPTIMIZER } from "../tolerances.ts";

const devices = await openTestDevices();

const SHAPES = { weight: [3, 5], bias: [1] } as const;
type Name = keyof typeof SHAPES;
const NAMES: readonly Name[] = ["weight", "bias"];

function makeParameters(device: Device): Map<Name, Tensor> {
  return new Map(
    NAMES.map((name) => [name, parameter(device.tensor(draw(SHAPES[name], name), SHAPES[name]))]),
  );
}

const gradient = (name: Name, step: number): Float32Array<ArrayBuffer> =>
  draw(SHAPES[name], `${name} ${step}`, -2, 1);

const rate = (step: number): number => 0.01 / (1 + step / 4);

type Full = Required<Omit<AdamOptions, "decays">>;

/** The equations of Adam (arXiv 1412.6980) and AdamW (arXiv 1711.05101), one element at a time. */
function plainAdam(
  name: Name,
  steps: number,
  { beta1, beta2, epsilon, weightDecay }: Full,
  decoupled: boolean,
): { p: number[]; m: number[]; v: number[] } {
  const p = Array.from(draw(SHAPES[name], name)), m = p.map(() => 0), v = p.map(() => 0);
  for (let t = 1; t <= steps; t++) {
    const gradients = gradient(name, t - 1), lr = rate(t - 1);
    p.forEach((_, i) => {
      let g = gradients[i];
      if (decoupled) p[i] -= lr * weightDecay * p[i];
      else g += weightDecay * p[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const unbiasedM = m[i] / (1 - beta1 ** t), unbiasedV = v[i] / (1 - beta2 ** t);
      p[i] -= lr * unbiasedM / (Math.sqrt(unbiasedV) + epsilon);
    });
  }
  return { p, m, v };
}

function takeSteps(optimizer: Adam, device: Device, first: number, count: number): void {
  for (let step = first; step < first + count; step++) {
    using _step = device.scope();
    const gradients = NAMES.map((name) => device.tensor(gradient(name, step), SHAPES[name]));
    optimizer.step(gradients, rate(step));
  }
}

const CASES: readonly {
  about: string;
  make: typeof Adam;
  options: AdamOptions;
  full: Full;
}[] = [
  {
    about: "Adam by its defaults",
    make: Adam,
    options: {},
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  },
  {
    about: "Adam with other decays",
    make: Adam,
    options: { beta1: 0.5, beta2: 0.9, epsilon: 1e-3 },
    full: { beta1: 0.5, beta2: 0.9, epsilon: 1e-3, weightDecay: 0 },
  },
  {
    about: "Adam with weight decay in the gradient",
    make: Adam,
    options: { weightDecay: 0.3 },
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.3 },
  },
  {
    about: "AdamW by its defaults",
    make: AdamW,
    options: {},
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  },
  {
    about: "AdamW with weight decay on the weights",
    make: AdamW,
    options: { weightDecay: 3 },
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 3 },
  },
  {
    about: "AdamW with weight decay on matrices only",
    make: AdamW,
    options: { weightDecay: 3, decays: ({ shape }) => shape.length === 2 },
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 3 },
  },
  {
    about: "Adam with options that are undefined",
    make: Adam,
    options: { beta1: undefined, weightDecay: undefined },
    full: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  },
];

for (const { about, make, options, full } of CASES) {
  testOnEach(devices, `${about} follows its equations`, async (device) => {
    const parameters = makeParameters(device);
    const optimizer = new make(parameters, options);
    for (const steps of [1, 9]) {
      takeSteps(optimizer, device, optimizer.steps.value, steps);
      const state = await optimizer.stateDictionary();
      for (const [name, tensor] of parameters) {
        const decays = options.decays?.(tensor) ?? true;
        const own = decays ? full : { ...full, weightDecay: 0 };
        const { p, m, v } = plainAdam(name, optimizer.steps.value, own, make === AdamW);
        assertClose(await tensor.floats(), p, OPTIMIZER, `${name}`);
        assertClose(state.get(`firstMoments.${name}`)?.values ?? [], m, OPTIMIZER, `m of ${name}`);
        assertClose(state.get(`secondMoments.${name}`)?.values ?? [], v, OPTIMIZER, `v of ${name}`);
      }
    }
  });
}

testOnEach(
  devices,
  "a restored optimiser continues as if it had not been interrupted",
  async (device) => {
    const straight = makeParameters(device), resumed = makeParameters(device);
    const optimizer = new AdamW(straight);
    takeSteps(optimizer, device, 0, 3);
    const state = await optimizer.stateDictionary();
    assert.deepEqual([...state.keys()].sort(), [
      "firstMoments.bias",
      "firstMoments.weight",
      "secondMoments.bias",
      "secondMoments.weight",
      "steps",
    ]);
    for (const [name, tensor] of straight) resumed.get(name)?.write(await tensor.floats());
    const other = new AdamW(resumed);
    other.loadStateDictionary(state);
    takeSteps(optimizer, device, 3, 3);
    takeSteps(other, device, 3, 3);
    assert.deepEqual(await other.stateDictionary(), await optimizer.stateDictionary());
    for (const name of NAMES) {
      assert.deepEqual(await resumed.get(name)?.floats(), await straight.get(name)?.floats());
    }
  },
);

testOnEach(devices, "an optimiser's state does not contain the parameters", (device) => {
  const optimizer = new Adam(makeParameters(device), { weightDecay: 0.1 });
  assert.deepEqual(optimizer.parameters(), []);
  assert.equal(optimizer.namedBuffers().size, 4);
});

testOnEach(devices, "a step leaves no memory behind and does not affect the tape", (device) => {
  const parameters = makeParameters(device);
  const optimizer = new Adam(parameters, { weightDecay: 0.1 });
  takeSteps(optimizer, device, 0, 1);
  const live = device.liveBytes;
  takeSteps(optimizer, device, 1, 3);
  assert.equal(device.liveBytes, live);
  for (const tensor of [...parameters.values(), ...optimizer.namedBuffers().values()]) {
    assert.equal(tensor.producer, undefined);
  }
});

testOnEach(devices, "a step needs one gradient for every parameter", (device) => {
  const optimizer = new Adam(makeParameters(device));
  assert.throws(() => optimizer.step([zeros(device, [3, 5])], 0.1), {
    name: "TypeError",
    message: "Cannot take an Adam step: 2 gradients are needed, got 1",
  });
  assert.equal(optimizer.steps.value, 0);
  assert.throws(() => optimizer.step([zeros(device, [5, 3]), zeros(device, [1])], 0.1), TypeError);
});
