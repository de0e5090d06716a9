import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { memoryDataset } from "../../data/memory.ts";
import { constructLearningRate, constructOptimizer } from "../../objectives/optimizer_settings.ts";
import { constructModel, totalSteps } from "../../training/construct.ts";
import { AdamW } from "../../nn/optimizers.ts";
import { evaluationProtocol, protocolHash } from "../../objectives/protocol.ts";
import { type PartialConfig, resolveConfig } from "../../training/resolve.ts";

const SMALL: PartialConfig = {
  model: { hidden: 4, residualHidden: 2, residualLayers: 1 },
  quantizer: { type: "vanilla", codebookSize: 8, codebookDim: 4 },
  optimizer: { type: "adamw" },
  training: { batchSize: 2, epochs: 3 },
};

const dataset = (name = "checks") =>
  memoryDataset({
    name,
    imageShape: [4, 4, 3],
    train: Float32Array.from({ length: 5 * 48 }, (_, value) => value % 2),
    test: new Float32Array(48),
  });

Deno.test("the model and the optimiser follow the configuration", async () => {
  using device = await openDevice("reference");
  const config = resolveConfig({ flags: SMALL });
  const model = constructModel(config, device, dataset());
  assert.deepEqual([model.quantizer.codebookSize, model.quantizer.codebookDim], [8, 4]);
  const { shape } = model.namedParameters().get("encoder.conv1.weight")!;
  assert.deepEqual(shape, [4, 4, 3, 2], "3 channels of the images, half of hidden");
  assert.ok(constructOptimizer(config.optimizer, model.namedParameters()) instanceof AdamW);
});

Deno.test("equal seeds give equal weights, and different seeds different weights", async () => {
  using device = await openDevice("reference");
  const weights = async (seed: number) => {
    const config = resolveConfig({ flags: { ...SMALL, seed } });
    const model = constructModel(config, device, dataset());
    return await model.namedParameters().get("decoder.up2.weight")!.floats();
  };
  assert.deepEqual(await weights(1), await weights(1));
  assert.notDeepEqual(await weights(1), await weights(2));
});

Deno.test("a run has the full batches of its epochs, or at most maxSteps steps", () => {
  const steps = (training: PartialConfig["training"]) =>
    totalSteps(resolveConfig({ flags: { training } }), dataset());
  assert.equal(steps({ batchSize: 2, epochs: 3 }), 6);
  assert.equal(steps({ batchSize: 2, epochs: 3, maxSteps: 4 }), 4);
  assert.equal(steps({ batchSize: 2, epochs: 1, maxSteps: 4 }), 2);
  assert.throws(() => steps({ batchSize: 6 }), /at most the 5 training images of checks, got 6/);
});

Deno.test("the learning rate warms up, then follows its schedule to its floor", () => {
  const { optimizer } = resolveConfig({
    flags: { optimizer: { learningRate: 2, schedule: "linear", warmupSteps: 3, floor: 0.5 } },
  });
  const rate = constructLearningRate(optimizer, 13);
  const rates = [0, 1, 2, 3, 8, 13].map(rate);
  assert.deepEqual(rates, [0.5, 1, 1.5, 2, 1.5, 1]);
});

Deno.test("the protocol's hash covers the metrics and the data", async () => {
  const hash = (name: string) => protocolHash(evaluationProtocol(dataset(name)));
  assert.equal(await hash("a"), await hash("a"));
  assert.notEqual(await hash("a"), await hash("b"));
});
