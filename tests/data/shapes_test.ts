import assert from "node:assert/strict";
import fc from "fast-check";
import { randomKey } from "../../core/random.ts";
import { openDataset } from "../../data/registry.ts";
import { drawShape, type ShapeFactors, shapeFactors } from "../../data/shapes.ts";

const shapes = await openDataset({ name: "shapes", size: 16, trainImages: 100 });

Deno.test("a picture is determined by its factors", async () => {
  const images = await shapes.images("test", Int32Array.of(3, 999));
  assert.deepEqual(images.subarray(0, 768), drawShape(shapeFactors("test", 3), 16));
  assert.deepEqual(images.subarray(768), drawShape(shapeFactors("test", 999), 16));
});

Deno.test("every epoch has new training pictures, and the same test pictures", async () => {
  const images = (split: "train" | "test", epoch: number, index = 5) =>
    shapes.images(split, Int32Array.of(index), randomKey(7, "augment", epoch));
  assert.deepEqual(await images("train", 1), await images("train", 1));
  assert.notDeepEqual(await images("train", 1), await images("train", 2));
  assert.notDeepEqual(await images("train", 1), await images("train", 1, 6));
  assert.deepEqual(await images("test", 1), await images("test", 2));
});

Deno.test("a shape covers the expected area, in its colour", () => {
  const corners = { triangle: 3, square: 4, hexagon: 6, circle: 1e6 };
  const size = 64;
  const factors = fc.record({
    kind: fc.constantFrom(...Object.keys(corners) as ShapeFactors["kind"][]),
    radius: fc.double({ min: 0.15, max: 0.34, noNaN: true }),
    angle: fc.double({ min: 0, max: 6.28, noNaN: true }),
    x: fc.double({ min: 0.35, max: 0.65, noNaN: true }),
    y: fc.double({ min: 0.35, max: 0.65, noNaN: true }),
  });
  fc.assert(fc.property(factors, (drawn) => {
    // Red on black: the red values' mean, from [−1, 1] to [0, 1], is the covered share.
    const picture = drawShape({ ...drawn, hue: 0, background: 0 }, size);
    let red = 0;
    for (let place = 0; place < picture.length; place += 3) red += (picture[place] + 1) / 2;
    const n = corners[drawn.kind];
    const area = n / 2 * drawn.radius ** 2 * Math.sin(2 * Math.PI / n);
    assert.ok(Math.abs(red / size ** 2 - area) < 0.005, `${red / size ** 2}, ${area}`);
    const centre = 3 * (Math.floor(drawn.y * size) * size + Math.floor(drawn.x * size));
    const colour = [...picture.subarray(centre, centre + 3)].map((value) => value.toFixed(4));
    assert.deepEqual(colour, ["1.0000", "-0.8000", "-0.8000"]);
  }));
});

Deno.test("factors cover their ranges", () => {
  const all = Array.from({ length: 2000 }, (_, index) => shapeFactors("train", index));
  for (
    const [name, low, high] of [["hue", 0, 1], ["radius", 0.15, 0.35], ["x", 0.35, 0.65]] as const
  ) {
    const mean = all.reduce((sum, factors) => sum + factors[name], 0) / all.length;
    const deviation = (high - low) / Math.sqrt(12 * all.length);
    assert.ok(Math.abs(mean - (low + high) / 2) < 4 * deviation, `${name}: ${mean}`);
    assert.ok(all.every((factors) => factors[name] >= low && factors[name] < high), name);
  }
  assert.equal(new Set(all.map(({ kind }) => kind)).size, 4);
});

Deno.test("the variance is that of training pictures on the [0, 1] scale", async () => {
  const indices = Int32Array.from({ length: 100 }, (_, index) => index);
  const values = await shapes.images("train", indices);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length / 4;
  assert.ok(Math.abs(shapes.variance / variance - 1) < 0.1, `${shapes.variance}, ${variance}`);
});
