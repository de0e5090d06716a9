/** Clipping gradients by the norm of all together. */
import assert from "node:assert/strict";
import { clipGradients, globalNorm } from "../../nn/gradients.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

testOnEach(devices, "gradients are scaled down to the limit by one factor", async (device) => {
  const a = draw([3, 5], "a"), b = draw([7], "b"), c = draw([], "c");
  const gradients = [
    device.tensor(a, [3, 5]),
    device.tensor(b, [7]),
    device.tensor(c, []),
  ] as const;
  const norm = Math.hypot(...a, ...b, ...c);
  assertClose(await globalNorm(gradients).floats(), [norm], EQUATIONS, "norm");
  for (const limit of [0.01, norm / 2, norm * 0.999]) {
    const clipped = clipGradients(gradients, limit);
    const scale = limit / (norm + 1e-6);
    for (const [index, values] of [a, b, c].entries()) {
      assert.deepEqual(clipped[index].shape, gradients[index].shape);
      assertClose(
        await clipped[index].floats(),
        values.map((value) => value * scale),
        EQUATIONS,
        `clipped to ${limit}`,
      );
    }
  }
});

testOnEach(
  devices,
  "gradients within the limit, and zero gradients, stay unchanged",
  async (device) => {
    const values = draw([9], "small");
    const [same] = clipGradients([device.tensor(values, [9])], 100);
    assert.deepEqual(await same.floats(), values);
    const [zero] = clipGradients([device.tensor([0, 0], [2])], 1);
    assert.deepEqual([...await zero.floats()], [0, 0]);
  },
);

testOnEach(devices, "a limit that is not positive is rejected", (device) => {
  const gradient = device.tensor([1], [1]);
  for (const limit of [0, -1, NaN]) {
    assert.throws(() => clipGradients([gradient], limit), {
      name: "RangeError",
      message: `Cannot clip gradients: the limit must be positive, got ${limit}`,
    });
  }
});
