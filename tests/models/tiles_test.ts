/** Large images in tiles: what is covered, how seams are blended, what comes out, and how much memory it takes. */
import assert from "node:assert/strict";
import { watchMemory } from "../../core/memory_watch.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { TiledFirstStage } from "../../models/tiled_first_stage.ts";
import { tileSpans, tileWeights } from "../../models/tiles.ts";
import { VQGAN } from "../../models/vqgan/vqgan.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { ResidualQuantizer } from "../../quantizers/residual.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose } from "../tolerances.ts";

const devices = await openTestDevices();
const ON_HOST = devices.filter(({ name }) => name !== "webgpu");

/** Sides, tiles and overlaps: fewer than a tile, just more, many, no overlap, the most overlap. */
const CASES = [[3, 8, 2], [8, 8, 4], [9, 8, 4], [13, 8, 4], [64, 8, 2], [50, 16, 0], [37, 10, 5]];

for (const [side, tile, overlap] of CASES) {
  Deno.test(`tiles of ${tile} with an overlap of ${overlap} cover a side of ${side}, and their weights sum to 1`, () => {
    const spans = tileSpans(side, { tile, overlap });
    const length = Math.min(side, tile);
    const total = new Float64Array(side);
    spans.forEach((span, at) => {
      const { start, from, to } = span;
      assert.ok(start >= 0 && start + length <= side && start <= from && to <= start + length);
      assert.equal(from, at === 0 ? 0 : spans[at - 1].to);
      if (at > 0) assert.ok(spans[at - 1].start + length - start >= overlap);
      const weights = tileWeights(span, { length, side, overlap });
      weights.forEach((weight, place) => {
        assert.ok(weight >= 0 && weight <= 1);
        total[start + place] += weight;
        // What lies at an edge inside the image has no say.
        const margin = Math.floor(overlap / 4) - 1;
        const inside = Math.min(
          start === 0 ? Infinity : place,
          start + length === side ? Infinity : length - 1 - place,
        );
        if (inside < margin) assert.equal(weight, 0);
      });
    });
    assert.equal(spans.at(-1)!.to, side);
    total.forEach((sum) => assert.ok(Math.abs(sum - 1) < 1e-6));
  });
}

/** The small VQ-VAE, which neither norms nor attends: it sees no further than 16 pixels, either way. */
function vqvae(device: Device, channels: number): FirstStage {
  const key = randomKey(3, "tiles");
  const quantizer = new ResidualQuantizer({
    inner: (key) => new VanillaQuantizer(device, { codebookSize: 16, codebookDim: 4, key }),
    depth: 2,
    shared: false,
    key,
  });
  const options = { channels, hidden: 8, residualHidden: 4, residualLayers: 1, key };
  return new FirstStage(new VQVAE(device, quantizer, options), key);
}

testOnEach(
  devices,
  "if the receptive field is within a quarter of the overlap, tiles give the same result as the whole image",
  async (device) => {
    const shape = [148, 140, 3], tiling = { tile: 128, overlap: 64 };
    const values = draw(shape, "a large image", -30, 30); // So that features differ before training.
    using model = vqvae(device, 3);
    const tiled = new TiledFirstStage(model, device, tiling);
    const { indices } = model.encode(device.tensor(values, [1, ...shape]));
    const codes = await tiled.encode({ values, shape });
    assert.deepEqual(codes.shape, indices.shape.slice(1));
    assert.deepEqual(codes.values, await indices.integers());
    assert.ok(new Set(codes.values).size > 8, `${[...new Set(codes.values)]}`);
    const image = await tiled.decode(codes);
    assert.deepEqual(image.shape, shape);
    assertClose(image.values, await model.decode(indices).floats(), 1e-5, "the image");
  },
);

testOnEach(
  ON_HOST,
  "with less overlap the interior of each tile equals that of the whole image",
  async (device) => {
    const shape = [160, 40, 1], tiling = { tile: 80, overlap: 16 };
    const values = draw(shape, "a long image");
    using model = vqvae(device, 1);
    const { indices } = model.encode(device.tensor(values, [1, ...shape]));
    const codes = { values: await indices.integers(), shape: indices.shape.slice(1) };
    const image = await new TiledFirstStage(model, device, tiling).decode(codes);
    const whole = await model.decode(indices).floats();
    const spans = tileSpans(160, tiling);
    assert.equal(spans.length, 3);
    const row = (of: Float32Array, y: number) => of.subarray(y * 40, (y + 1) * 40);
    const difference = (y: number) =>
      row(image.values, y).reduce(
        (most, value, x) => Math.max(most, Math.abs(value - row(whole, y)[x])),
        0,
      );
    const cuts = spans.map(({ from }) => from).slice(1);
    const isInside = (y: number) => cuts.every((cut) => Math.abs(y - cut) > 24);
    const largest = Math.max(...whole.map(Math.abs));
    for (let y = 0; y < 160; y++) {
      if (isInside(y)) assert.ok(difference(y) <= 1e-5 * largest, `row ${y}`);
    }
  },
);

testOnEach(ON_HOST, "a larger image takes no more device memory", async (device) => {
  using model = vqvae(device, 1);
  const tiled = new TiledFirstStage(model, device, { tile: 32, overlap: 8 });
  const peak = async (side: number) => {
    const shape = [side, side, 1];
    using watch = watchMemory(device);
    const codes = await tiled.encode({ values: new Float32Array(side * side), shape });
    await tiled.decode(codes);
    return watch.peakBytes;
  };
  assert.equal(await peak(128), await peak(32));
});

testOnEach(
  ON_HOST,
  "a network with spatial norms treats each tile as a separate image",
  async (device) => {
    const key = randomKey(4, "vqgan");
    const quantizer = new VanillaQuantizer(device, { codebookSize: 16, codebookDim: 4, key });
    const network = new VQGAN(device, quantizer, {
      ...{ channels: 1, ch: 4, chMult: [1, 2], numResBlocks: 1, resolution: 16, zChannels: 4 },
      ...{ attnResolutions: [8], groups: 2, key },
    });
    using model = new FirstStage(network, key);
    const codes = {
      values: Int32Array.from({ length: 12 * 12 }, (_, at) => at % 16),
      shape: [12, 12],
    };
    const { values } = await new TiledFirstStage(model, device, { tile: 16, overlap: 4 }).decode(
      codes,
    );
    const whole = await model.decode(device.tensor(codes.values, [1, 12, 12])).floats();
    assert.equal(values.length, whole.length);
    assert.ok(values.every(Number.isFinite));
    assert.notDeepEqual(values, whole);
    const one = await new TiledFirstStage(model, device, { tile: 24, overlap: 4 }).decode(codes);
    assert.deepEqual(one.values, whole, "one tile is the whole image");
  },
);

Deno.test("invalid tiles and images are rejected", async () => {
  const [device] = devices;
  using model = vqvae(device, 3);
  for (const [tile, overlap] of [[30, 8], [32, 6], [32, 20], [0, 0], [32, -4]]) {
    assert.throws(() => new TiledFirstStage(model, device, { tile, overlap }), {
      name: "RangeError",
      message:
        `Cannot cut images into tiles: tile and overlap must be divisible by 4, and the overlap at most half of the tile, got ${tile} and ${overlap}`,
    });
  }
  const whole = Object.create(model, { grid: { value: [7, 7] } });
  assert.throws(
    () => new TiledFirstStage(whole, device, { tile: 32, overlap: 8 }),
    /^RangeError: Cannot cut images into tiles: the quantizer must code each position separately, got one that codes grids of 7×7$/,
  );
  const tiled = new TiledFirstStage(model, device, { tile: 32, overlap: 8 });
  for (const shape of [[32, 30, 3], [32, 32, 1], [32, 32]]) {
    const image = { values: new Float32Array(shape.reduce((a, b) => a * b)), shape };
    await assert.rejects(
      tiled.encode(image),
      /^TypeError: Cannot encode an image: it must be \[H, W, 3\] with sides divisible by 4, got shape/,
    );
  }
});
