/** Errors of reconstructions. */
import assert from "node:assert/strict";
import { imageErrors } from "../../metrics/reconstruction.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

testOnEach(devices, "the mean squared error is computed per image", async (device) => {
  const shape = [3, 5, 4, 2], size = 40;
  const originals = draw(shape, "originals"), rebuilt = draw(shape, "rebuilt");
  const errors = imageErrors(device.tensor(originals, shape), device.tensor(rebuilt, shape));
  assert.deepEqual(errors.shape, [3]);
  const expected = [0, 1, 2].map((image) => {
    let sum = 0;
    for (let at = image * size; at < (image + 1) * size; at++) {
      sum += (originals[at] - rebuilt[at]) ** 2;
    }
    return sum / size;
  });
  assertClose(await errors.floats(), expected, EQUATIONS, "errors");
  const same = imageErrors(device.tensor(originals, shape), device.tensor(originals, shape));
  assert.deepEqual([...await same.floats()], [0, 0, 0]);
});

testOnEach(devices, "images of different shapes are rejected", (device) => {
  const images = device.tensor(draw([2, 4, 4, 1], "images"), [2, 4, 4, 1]);
  const other = device.tensor(draw([1, 4, 4, 1], "other"), [1, 4, 4, 1]);
  assert.throws(() => imageErrors(images, other), {
    name: "TypeError",
    message: "Cannot compare images: both must have the same shape [B, H, W, C], " +
      "got [2, 4, 4, 1] and [1, 4, 4, 1]",
  });
  const row = device.tensor([1, 2], [2]);
  assert.throws(() => imageErrors(row, row), TypeError);
});
