/** Images that a notebook shows. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readPng } from "../../data/formats/png.ts";
import { displayImages } from "../../reports/display_images.ts";
import { openTestDevices } from "../helpers.ts";

const BACKGROUND = 224;

const devices = await openTestDevices();

for (const device of devices) {
  Deno.test(`three images on ${device.name} become an enlarged grid of two columns with light grey gaps`, async () => {
    using _scope = device.scope();
    const values = [-1, 1, 0.5, 3, 0, -2]; // three images of one row and two pixels
    const images = device.tensor(values, [3, 1, 2, 1]);
    const png = await displayImages(images, { columns: 2, side: 4 }).png();
    const [height, width] = [16, 20]; // two cells of 6 × 8, and a margin of 4
    const { data, channels } = readPng(png, width, height, "images");
    assert.equal(channels, 1);
    const at = (top: number, left: number) => data[top * width + left];
    const corners = [[4, 4], [4, 12], [10, 4]] as const;
    const found = corners.map(([top, left]) => [
      [at(top, left), at(top + 1, left + 1)],
      [at(top, left + 2), at(top + 1, left + 3)],
    ]);
    assert.deepEqual(found, [[[0, 0], [255, 255]], [[191, 191], [255, 255]], [[128, 128], [0, 0]]]);
    assert.deepEqual([at(0, 0), at(6, 4), at(10, 12), at(15, 19)], Array(4).fill(BACKGROUND));
  });

  Deno.test(`a notebook shows images on ${device.name} in colour`, async () => {
    using _scope = device.scope();
    const shown = displayImages(device.tensor([-1, 0, 1], [1, 1, 1, 3]), { side: 1 });
    const display = (shown as unknown as Record<symbol, () => Promise<Record<string, string>>>)[
      Symbol.for("Jupyter.display")
    ];
    const { "image/png": text } = await display.call(shown);
    const { data, channels } = readPng(Buffer.from(text, "base64"), 9, 9, "images");
    assert.equal(channels, 3);
    assert.deepEqual([...data.subarray(3 * (4 * 9 + 4), 3 * (4 * 9 + 5))], [0, 128, 255]);
  });
}

Deno.test("tensors that are not batches of images, and grids without columns, are rejected", () => {
  const [device] = devices;
  using _scope = device.scope();
  assert.throws(() => displayImages(device.tensor([1, 2], [1, 2])), {
    name: "TypeError",
    message: "Cannot display images: they must be float32 [B, H, W, C], got float32 [1, 2]",
  });
  assert.throws(() => displayImages(device.tensor([1], [1, 1, 1, 1]), { columns: 0 }), {
    name: "RangeError",
    message: "Cannot display images: columns must be an integer of at least 1, got 0",
  });
});
