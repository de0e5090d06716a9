/** Modules: what their state is called, and how it is saved and loaded. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { relu } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { profile } from "../../core/profile.ts";
import { randomKey } from "../../core/random.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Linear } from "../../nn/linear.ts";
import { Activation, Counter, freeze, Module, Sequential } from "../../nn/module.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();
const key = (name: string) => randomKey(1, name);

/** A module with one of everything that can be state, and some that is none. */
class Everything extends Module {
  readonly layer: Linear;
  readonly running: Tensor;
  readonly chosen: Tensor;
  readonly steps = new Counter(3);
  readonly list: readonly Linear[];
  readonly byName: ReadonlyMap<string, Linear>;
  readonly absent = undefined;
  readonly size = 3;
  readonly options = { size: 3 };
  readonly #hidden: Tensor;

  constructor(device: Device, seed = "a") {
    super();
    const linear = (name: string) =>
      new Linear(device, 2, 1, { key: key(seed + name), bias: false });
    this.layer = linear("layer");
    this.running = zeros(device, [2]);
    this.chosen = zeros(device, [1], "int32");
    this.list = [linear("0"), linear("1")];
    this.byName = new Map([["in", linear("in")], ["out", linear("out")]]);
    this.#hidden = zeros(device, [1]);
  }

  get hidden(): Tensor {
    return this.#hidden;
  }
}

const NAMES = [
  "layer.weight",
  "running",
  "chosen",
  "steps",
  "list.0.weight",
  "list.1.weight",
  "byName.in.weight",
  "byName.out.weight",
];

testOnEach(devices, "state is named by the path of its fields", async (device) => {
  const module = new Everything(device);
  assert.deepEqual([...(await module.stateDictionary()).keys()].sort(), NAMES.toSorted());
  const weights = NAMES.filter((name) => name.endsWith("weight")).toSorted();
  assert.deepEqual([...module.namedParameters().keys()].sort(), weights);
  assert.deepEqual([...module.namedBuffers().keys()].sort(), ["chosen", "running"]);
  assert.deepEqual(module.parameters(), [...module.namedParameters().values()]);
});

testOnEach(
  devices,
  "shared parameters are listed once, even with circular references",
  async (device) => {
    class Shared extends Module {
      readonly left: Linear;
      readonly right: Linear;
      readonly self: Shared;
      constructor() {
        super();
        this.left = this.right = new Linear(device, 2, 1, { key: key("shared") });
        this.self = this;
      }
    }
    const module = new Shared();
    assert.deepEqual([...module.namedParameters().keys()], ["left.weight", "left.bias"]);
    const other = new Shared();
    other.loadStateDictionary(await module.stateDictionary());
    assert.deepEqual(await other.right.weight.floats(), await module.right.weight.floats());
  },
);

testOnEach(devices, "a saved state can be loaded into another module", async (device) => {
  const saved = new Everything(device), other = new Everything(device, "b");
  saved.running.write(Float32Array.of(0.5, NaN));
  saved.chosen.write(Int32Array.of(-7));
  saved.steps.value = 41;
  const state = await saved.stateDictionary();
  assert.notDeepEqual(await other.stateDictionary(), state);
  const { weight } = other.layer;
  other.loadStateDictionary(state);
  assert.deepEqual(await other.stateDictionary(), state);
  assert.equal(other.steps.value, 41);
  assert.equal(other.layer.weight, weight, "values are overwritten in place");
  assert.deepEqual(state.get("steps"), { shape: [], values: Int32Array.of(41) });
});

testOnEach(devices, "loading a state that does not match changes nothing", async (device) => {
  const module = new Everything(device);
  const before = await module.stateDictionary();
  const good = await new Everything(device, "b").stateDictionary();
  const changed = (name: string, entry?: HostTensor) => {
    const state = new Map(good);
    if (entry === undefined) state.delete(name);
    else state.set(name, entry);
    return state;
  };
  const last = "byName.out.weight";
  const cases: readonly (readonly [Map<string, HostTensor>, string])[] = [
    [changed(last), `the entry ${last} is missing`],
    [changed("steps"), "the entry steps is missing"],
    [
      changed("ghost", { shape: [], values: Int32Array.of(1) }),
      "the module has no entry ghost",
    ],
    [
      changed(last, { shape: [1, 2], values: new Float32Array(2) }),
      `${last} must be float32 [2, 1], got float32 [1, 2] with 2 values`,
    ],
    [
      changed(last, { shape: [2, 1], values: new Int32Array(2) }),
      `${last} must be float32 [2, 1], got int32 [2, 1] with 2 values`,
    ],
    [
      changed(last, { shape: [2, 1], values: new Float32Array(1) }),
      `${last} must be float32 [2, 1], got float32 [2, 1] with 1 values`,
    ],
    [
      changed("steps", { shape: [], values: new Int32Array(0) }),
      "steps must be int32 [], got int32 [] with 0 values",
    ],
    [
      changed("steps", { shape: [1], values: Int32Array.of(1) }),
      "steps must be int32 [], got int32 [1] with 1 values",
    ],
  ];
  for (const [state, message] of cases) {
    assert.throws(() => module.loadStateDictionary(state), {
      name: "TypeError",
      message: `Cannot load the state: ${message}`,
    });
    assert.deepEqual(await module.stateDictionary(), before);
  }
});

testOnEach(devices, "a state dictionary is a snapshot", async (device) => {
  const layer = new Linear(device, 2, 1, { key: key("snapshot") });
  const before = await layer.stateDictionary();
  const reading = layer.stateDictionary();
  layer.weight.write(Float32Array.of(9, 9));
  assert.deepEqual(await reading, before);
});

testOnEach(devices, "disposing of a module frees its state", (device) => {
  using _scope = device.scope();
  const before = device.liveBytes;
  {
    using module = new Everything(device);
    module.hidden.dispose();
    assert.ok(device.liveBytes > before);
  }
  assert.equal(device.liveBytes, before);
});

testOnEach(devices, "a frozen module records no operations for its weights", async (device) => {
  const layer = new Linear(device, 3, 2, { key: key("frozen") });
  const x = device.tensor([1, 2, 3], [1, 3]), input = parameter(x.view());
  const [expected] = backward(sum(layer.forward(input)), [input]);
  const names = [...layer.namedParameters().keys()];
  {
    using _frozen = freeze(layer);
    assert.deepEqual(layer.parameters(), []);
    assert.deepEqual([...layer.namedBuffers().keys()], names);
    assert.equal(layer.forward(x).requiresGradient, false, "of a constant");
    const y = layer.forward(input);
    const taken = await profile(device, "frozen", () => {
      const [gradient] = backward(sum(y), [input]);
      gradient.dispose();
    });
    const products = taken.kernels.filter(({ name }) => name === "matmul");
    assert.equal(products.length, 1, "by the input alone");
    const [gradient] = backward(sum(y), [input]);
    assert.deepEqual(await gradient.floats(), await expected.floats());
    assert.throws(() => backward(sum(y), [layer.weight]), TypeError);
    {
      using _again = freeze(layer);
    }
    assert.deepEqual(layer.parameters(), [], "still frozen");
  }
  assert.deepEqual([...layer.namedParameters().keys()], names);
  assert.equal(layer.forward(x).requiresGradient, true);
});

testOnEach(devices, "layers are applied in order", async (device) => {
  const first = new Linear(device, 2, 3, { key: key("first") });
  const second = new Linear(device, 3, 1, { key: key("second") });
  const chain = new Sequential([first, new Activation(relu), second]);
  assert.deepEqual([...chain.namedParameters().keys()], [
    "layers.0.weight",
    "layers.0.bias",
    "layers.2.weight",
    "layers.2.bias",
  ]);
  const x = device.tensor([1, -2], [1, 2]);
  const expected = second.forward(relu(first.forward(x)));
  assert.deepEqual(await chain.forward(x).floats(), await expected.floats());
});
