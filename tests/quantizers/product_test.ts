import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { ProductQuantizer } from "../../quantizers/product.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { judged, leaf } from "./slopes.ts";

const devices = await openTestDevices();
const key = randomKey(1, "product");
const context = { training: true, key };
const [K, HEADS, WIDTH] = [6, 3, 2];
const SHAPE = [2, 5, HEADS * WIDTH];

const inner = (device: Device) => (key: RandomKey) =>
  new ClusteredQuantizer(device, { codebookSize: K, codebookDim: WIDTH, key });

/** Head h of values `[..., heads·width]`. */
const headOf = (values: Float32Array, head: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(values).filter((_, i) => Math.floor(i / WIDTH) % HEADS === head);

testOnEach(
  devices,
  "separate heads equal separate quantisers on their channels, in every respect",
  async (device) => {
    const quantizer = new ProductQuantizer({ inner: inner(device), heads: HEADS, key });
    const twins = quantizer.parts.map(() => inner(device)(key));
    for (const [head, part] of quantizer.parts.entries()) {
      twins[head].loadStateDictionary(await part.stateDictionary());
    }
    const z = draw(SHAPE, "features"), upstream = draw(SHAPE, "up");
    const features = leaf(device, z, SHAPE);
    const result = quantizer.quantize(features, context);
    const judge = judged(result, device.tensor(upstream, SHAPE));
    const codebooks = quantizer.parts.map((part) => (part as ClusteredQuantizer).codebook);
    const [byFeatures, ...byCodebooks] = backward(judge, [features, ...codebooks]);
    quantizer.update({ features, ...result }, context);

    assert.deepEqual([quantizer.codebookSize, quantizer.codebookDim], [HEADS * K, HEADS * WIDTH]);
    assert.deepEqual([result.indices.shape, result.quantized.shape], [[2, 5, HEADS], SHAPE]);
    const [indices, quantized, usage, slope] = [
      await result.indices.integers(),
      await result.quantized.floats(),
      await result.usage.integers(),
      await byFeatures.floats(),
    ];
    let commitment = 0;
    for (const [head, twin] of twins.entries()) {
      const own = leaf(device, headOf(z, head), [2, 5, WIDTH]);
      const found = twin.quantize(own, context);
      // Losses are means over the heads.
      const up = device.tensor(headOf(upstream, head).map((x) => HEADS * x), [2, 5, WIDTH]);
      const gradients = backward(judged(found, up), [own, twin.codebook]);
      twin.update({ features: own, ...found }, context);
      assert.deepEqual(
        [...await found.indices.integers()],
        [...indices.filter((_, i) => i % HEADS === head)].map((index) => index - head * K),
      );
      assert.deepEqual(await found.quantized.floats(), headOf(quantized, head));
      assert.deepEqual(await found.usage.integers(), usage.slice(head * K, (head + 1) * K));
      const [mine, codes] = await Promise.all(gradients.map((gradient) => gradient.floats()));
      const scaled = (x: Float32Array) => x.map((value) => value / HEADS);
      assertClose(headOf(slope, head), scaled(mine), EQUATIONS, "gradient of z");
      assertClose(await byCodebooks[head].floats(), scaled(codes), EQUATIONS, "gradient of e");
      assertClose(
        await codebooks[head].floats(),
        await twin.codebook.floats(),
        EQUATIONS,
        "update",
      );
      commitment += await found.losses.commitment.item() / HEADS;
    }
    assertClose(await result.losses.commitment.floats(), [commitment], EQUATIONS, "commitment");
  },
);

testOnEach(devices, "a shared codebook treats each head as a feature", async (device) => {
  const quantizer = new ProductQuantizer({ inner: inner(device), heads: HEADS, shared: true, key });
  const [part] = quantizer.parts as [ClusteredQuantizer];
  const twin = inner(device)(key);
  twin.loadStateDictionary(await part.stateDictionary());
  const z = draw(SHAPE, "features");
  const features = device.tensor(z, SHAPE), rows = device.tensor(z, [2, 5, HEADS, WIDTH]);
  const [result, found] = [quantizer.quantize(features, context), twin.quantize(rows, context)];
  quantizer.update({ features, ...result }, context);
  twin.update({ features: rows, ...found }, context);
  assert.equal(quantizer.codebookSize, K);
  assert.deepEqual(result.quantized.shape, SHAPE);
  for (const name of ["indices", "usage"] as const) {
    assert.deepEqual(await result[name].integers(), await found[name].integers());
  }
  assert.deepEqual(await result.quantized.floats(), await found.quantized.floats());
  assertClose(await part.codebook.floats(), await twin.codebook.floats(), EQUATIONS, "update");
});

testOnEach(devices, "features of another width are rejected", (device) => {
  const quantizer = new ProductQuantizer({ inner: inner(device), heads: HEADS, key });
  const features = device.tensor(draw([4, 5], "other"), [4, 5]);
  assert.throws(() => quantizer.quantize(features, context), {
    name: "TypeError",
    message: "Cannot quantize: the last axis must be 6, got shape [4, 5]",
  });
});
