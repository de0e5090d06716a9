/** What a discriminator is shown: its colours, what is moved and cut out, and the gradients. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { augment } from "../../objectives/differentiable_augmentation.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose } from "../tolerances.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "augmentation");
const SHAPE = [6, 16, 24, 3], SIZE = 16 * 24 * 3;

testOnEach(
  devices,
  "an image of one colour changes only in brightness, and part of it becomes 0",
  async (device) => {
    const grey = device.tensor(new Float32Array(6 * SIZE).fill(0.75), SHAPE);
    const seen = await augment(grey, key).floats();
    const levels = Array.from({ length: 6 }, (_, image) => {
      const own = seen.subarray(image * SIZE, (image + 1) * SIZE);
      const kept = own.filter((value) => value !== 0);
      const gone = 1 - kept.length / SIZE;
      // A quarter is cut out, at least a quarter of that lies inside, and up to 15 of 64 parts are shifted away.
      assert.ok(gone >= 1 / 16 - 1e-9 && gone <= 1 / 4 + 15 / 64 + 1e-9, `${gone}`);
      assert.ok(kept.every((value) => Math.abs(value - kept[0]) < 1e-5));
      assert.ok(kept[0] >= 0.25 && kept[0] < 1.25);
      return kept[0];
    });
    assert.ok(new Set(levels).size === 6, "each image has its own");
  },
);

testOnEach(
  devices,
  "all pixels of an image move together and share one contrast",
  async (device) => {
    const size = 16 * 24, step = 1 / size;
    const ramp = Float32Array.from({ length: 6 * size }, (_, at) => at % size * step - 0.6);
    const seen = await augment(device.tensor(ramp, [6, 16, 24, 1]), key).floats();
    for (let image = 0; image < 6; image++) {
      const at = (row: number, column: number) => seen[image * size + row * 24 + column];
      const slopes: number[] = [];
      for (let row = 0; row < 15; row++) {
        for (let column = 0; column < 23; column++) {
          if (at(row, column) === 0) continue;
          if (at(row, column + 1) !== 0) {
            slopes.push(
              (at(row, column + 1) - at(row, column)) / step,
            );
          }
          if (at(row + 1, column) !== 0) {
            slopes.push(
              (at(row + 1, column) - at(row, column)) / step / 24,
            );
          }
        }
      }
      assert.ok(slopes.length > 100);
      assert.ok(slopes.every((slope) => Math.abs(slope - slopes[0]) < 1e-2), `${slopes[0]}`);
      assert.ok(slopes[0] > 0.49 && slopes[0] < 1.51);
    }
  },
);

testOnEach(
  devices,
  "it agrees with the reference on every device, depends on the key, and is linear like its gradient",
  async (device) => {
    const [values, direction, probe] = ["images", "direction", "probe"].map((name) =>
      draw(SHAPE, name)
    );
    const images = parameter(device.tensor(values, SHAPE));
    const seen = augment(images, key);
    const expected = augment(reference.tensor(values, SHAPE), key);
    assertClose(await seen.floats(), await expected.floats(), 1e-5, "the images");
    assert.notDeepEqual(
      await augment(images, { ...key, step: 1 }).floats(),
      await augment(images, key).floats(),
    );
    const [gradient] = backward(sum(mul(seen, device.tensor(probe, SHAPE))), [images]);
    const along = (await gradient.floats()).reduce(
      (total, one, at) => total + one * direction[at],
      0,
    );
    const further = values.map((value, at) => value + direction[at]);
    const [before, after] = await Promise.all([values, further].map(async (at) => {
      const made = await augment(device.tensor(at, SHAPE), key).floats();
      return made.reduce((total, one, place) => total + one * probe[place], 0);
    }));
    assert.ok(Math.abs(after - before - along) < 1e-3 * Math.max(1, Math.abs(along)));
  },
);
