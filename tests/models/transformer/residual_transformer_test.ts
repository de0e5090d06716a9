/** The RQ-transformer: PyTorch's logits and gradients, what sees what, and what is refused. */
import assert from "node:assert/strict";
import { randomKey } from "../../../core/random.ts";
import { openTestDevices } from "../../helpers.ts";
import { draw, testOnEach } from "../../each_device.ts";
import {
  ResidualTransformer,
  type ResidualTransformerOptions,
} from "../../../models/transformer/residual_transformer.ts";
import { compareWithPyTorch, readFixture } from "./fixtures.ts";

const devices = await openTestDevices();
const key = randomKey(1, "transformer");

const OPTIONS: ResidualTransformerOptions = {
  ...{ codebookSize: 9, grid: [2, 2], depth: 3, classes: 2 },
  ...{ width: 16, layers: 1, depthLayers: 1, heads: 2, dropout: 0 },
  ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
};

const fixture = await readFixture<ResidualTransformerOptions>("residual");

testOnEach(devices, "logits and gradients agree with PyTorch", async (device) => {
  const model = new ResidualTransformer(device, { ...fixture.settings, dropout: 0.5, key });
  await compareWithPyTorch(
    device,
    fixture,
    model,
    (input) => model.logits(model.forward(input("labels"), input("codes"))),
  );
});

testOnEach(devices, "a code sees only the codes before it", async (device) => {
  const model = new ResidualTransformer(device, OPTIONS), size = 9, count = 12;
  for (const [name, tensor] of model.namedParameters()) tensor.write(draw(tensor.shape, name));
  const logitsOf = async (codes: readonly number[]) => {
    const labels = device.tensor(Int32Array.of(0), [1]);
    const tensor = device.tensor(Int32Array.from(codes), [1, 4, 3]);
    return await model.logits(model.forward(labels, tensor)).floats();
  };
  const codes = Array.from({ length: count }, (_, at) => at % size), before = await logitsOf(codes);
  for (let at = 0; at < count; at++) {
    const after = await logitsOf(codes.with(at, (codes[at] + 1) % size));
    for (let row = 0; row < count; row++) {
      const own = (all: Float32Array) => [...all.subarray(row * size, (row + 1) * size)];
      const changed = own(after).some((value, index) => value !== own(before)[index]);
      assert.equal(changed, row > at, `code ${row} with code ${at}`);
    }
  }
});

testOnEach(devices, "invalid settings and inputs are rejected", (device) => {
  const model = new ResidualTransformer(device, OPTIONS);
  const tensor = (values: readonly number[], shape: readonly number[]) =>
    device.tensor(Int32Array.from(values), shape);
  const forward = (code: number, label: number, positions = 4) =>
    model.forward(
      tensor([label], [1]),
      tensor(new Array(positions * 3).fill(code), [1, positions, 3]),
    );
  const refused = (run: () => unknown, name: string, message: string) =>
    assert.throws(run, { name, message });
  refused(
    () => forward(9, 0),
    "RangeError",
    "Cannot run a transformer: a code must be in [0, 9), got 9 in [1, 4, 3]",
  );
  refused(
    () => forward(1, 3),
    "RangeError",
    "Cannot run a transformer: a class must be in [0, 3), got 3 in [1]",
  );
  refused(
    () => forward(1, 0, 5),
    "RangeError",
    "Cannot run a transformer: a sequence must have at most 4 positions, got 5",
  );
  refused(
    () => model.spatial({}),
    "TypeError",
    "Cannot run a transformer: there must be labels or codes, got neither",
  );
});
