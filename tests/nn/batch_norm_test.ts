/** Batch normalisation: what it keeps, and what it refuses. Its numbers are PyTorch's: see pytorch_layers_test.ts. */
import assert from "node:assert/strict";
import { zeros } from "../../core/functions/creation.ts";
import { randomKey } from "../../core/random.ts";
import { BatchNorm } from "../../nn/batch_norm.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();
const training = { training: true, key: randomKey(1, "batch norm") };

testOnEach(devices, "a batch norm's running statistics are its state", async (device) => {
  const layer = new BatchNorm(device, 3), other = new BatchNorm(device, 3);
  assert.deepEqual([...layer.namedParameters().keys()], ["weight", "bias"]);
  assert.deepEqual([...layer.namedBuffers().keys()], ["runningMean", "runningVariance"]);
  const x = device.tensor(draw([4, 2, 3], "x"), [4, 2, 3]);
  layer.forward(x, training);
  other.loadStateDictionary(await layer.stateDictionary());
  assert.deepEqual(await other.forward(x).floats(), await layer.forward(x).floats());
});

testOnEach(devices, "a batch norm updates its statistics in training only", async (device) => {
  const layer = new BatchNorm(device, 2, { momentum: 0.5 });
  const x = device.tensor([1, 2, 3, 6], [2, 2]);
  layer.forward(x);
  layer.forward(x, { ...training, training: false });
  assert.deepEqual([...await layer.runningMean.floats()], [0, 0]);
  layer.forward(x, training);
  assert.deepEqual([...await layer.runningMean.floats()], [1, 2]);
  assert.deepEqual([...await layer.runningVariance.floats()], [1.5, 4.5]);
});

testOnEach(devices, "a batch norm rejects inputs that it cannot normalise", (device) => {
  const layer = new BatchNorm(device, 2);
  assert.throws(() => layer.forward(zeros(device, [2, 3])), {
    name: "TypeError",
    message: "Cannot normalise a batch: the last axis must be 2, got shape [2, 3]",
  });
  assert.throws(() => layer.forward(zeros(device, [1, 2]), training), {
    name: "TypeError",
    message:
      "Cannot normalise a batch: in training each channel needs two values or more, got shape [1, 2]",
  });
});
