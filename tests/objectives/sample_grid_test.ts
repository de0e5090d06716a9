import assert from "node:assert/strict";
import fc from "fast-check";
import { decode } from "fast-png";
import { drawSampleGrid, readSampleGrid } from "../../objectives/sample_grid.ts";

const MARGIN = 4;

Deno.test("originals are above their reconstructions, eight per row, enlarged", () => {
  const count = 10;
  const pixels = (shift: number) =>
    Float32Array.from({ length: count * 6 }, (_, value) => -1 + (value + shift) / 64);
  const originals = pixels(0), reconstructions = pixels(3);
  const { width, height, channels, data } = decode(
    drawSampleGrid({ originals, reconstructions, imageShape: [2, 3, 1] }),
  );
  const scale = 32;
  const [tall, wide] = [2 * scale + MARGIN, 3 * scale + MARGIN];
  assert.deepEqual([width, height, channels], [8 * wide + MARGIN, 4 * tall + MARGIN, 1]);

  const at = (row: number, column: number, y: number, x: number) =>
    data[(MARGIN + row * tall + y) * width + MARGIN + column * wide + x];
  const byte = (value: number) => Math.round((value + 1) / 2 * 255);
  for (let image = 0; image < count; image++) {
    const [row, column] = [2 * Math.floor(image / 8), image % 8];
    for (const [below, values] of [originals, reconstructions].entries()) {
      for (let y = 0; y < 2; y++) {
        for (let x = 0; x < 3; x++) {
          const expected = byte(values[image * 6 + y * 3 + x]);
          for (const inside of [0, scale - 1]) {
            assert.equal(
              at(row + below, column, y * scale + inside, x * scale + inside),
              expected,
            );
          }
        }
      }
    }
  }
  const background = data[0];
  assert.equal(at(0, 0, -1, 0), background);
  assert.equal(at(2, 2, 0, 0), background);
});

Deno.test("colours are kept, and values outside [−1, 1] are clipped", () => {
  const originals = Float32Array.of(-1, 0, 1);
  const reconstructions = Float32Array.of(5, -5, NaN);
  const { width, channels, data } = decode(
    drawSampleGrid({ originals, reconstructions, imageShape: [1, 1, 3] }),
  );
  assert.equal(channels, 3);
  const pixel = (y: number) => [...data.subarray((y * width + 4) * 3, (y * width + 4) * 3 + 3)];
  assert.deepEqual(pixel(4), [0, 128, 255]);
  assert.deepEqual(pixel(4 + 96 + 4), [255, 0, 0]);
});

Deno.test("large images are not enlarged, and of unusual channel counts the first channel is drawn", () => {
  const values = new Float32Array(100 * 200 * 2).map((_, index) => index % 2 === 0 ? 1 : -1);
  const { width, height, channels, data } = decode(
    drawSampleGrid({ originals: values, reconstructions: values, imageShape: [100, 200, 2] }),
  );
  assert.deepEqual([width, height, channels], [208, 2 * 104 + 4, 1]);
  assert.equal(data[4 * width + 4], 255);
});

Deno.test("samples that are not pairs of images are rejected", () => {
  const draw = (originals: number, reconstructions: number) => () =>
    drawSampleGrid({
      originals: new Float32Array(originals),
      reconstructions: new Float32Array(reconstructions),
      imageShape: [2, 2, 1],
    });
  for (const [originals, reconstructions] of [[0, 0], [6, 6], [8, 4]]) {
    assert.throws(draw(originals, reconstructions), {
      name: "TypeError",
      message: "Cannot draw samples: both parts must hold the same whole number of images of " +
        `4 values, got ${originals} and ${reconstructions} values`,
    });
  }
});

Deno.test("a grid survives reading and drawing, and stores values in 255 steps", () => {
  const shape = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 120 }));
  const drawn = fc.tuple(fc.integer({ min: 1, max: 16 }), shape, fc.constantFrom(1, 2, 3));
  fc.assert(
    fc.property(drawn, fc.integer(), ([count, [height, width], channels], seed) => {
      const length = count * height * width * channels;
      const values = (start: number) =>
        Float32Array.from({ length }, (_, at) => Math.sin(start + at * 0.7));
      const [originals, reconstructions] = [values(seed % 100), values(seed % 10 + 0.5)];
      const png = drawSampleGrid({
        originals,
        reconstructions,
        imageShape: [height, width, channels],
      });
      const read = readSampleGrid(png, count, [height, width, channels]);
      assert.deepEqual(drawSampleGrid(read), png);
      const shown = read.imageShape[2];
      assert.equal(shown, channels === 3 ? 3 : 1);
      read.reconstructions.forEach((value, at) => {
        const drawn = reconstructions[Math.floor(at / shown) * channels + at % shown];
        assert.ok(Math.abs(value - drawn) < 1 / 254, `${value} is ${drawn}`);
      });
    }),
    { numRuns: 20 },
  );
});

Deno.test("a grid of other images is rejected", () => {
  const originals = new Float32Array(2 * 16);
  const png = drawSampleGrid({ originals, reconstructions: originals, imageShape: [4, 4, 1] });
  assert.throws(() => readSampleGrid(png, 3, [4, 4, 1]), {
    name: "TypeError",
    message:
      "Cannot read samples, 3 images of [4, 4, 1] in a grid: it must have 304×204 pixels, got 204×204",
  });
});
