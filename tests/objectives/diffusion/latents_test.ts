/** The space of latents: what is measured, and that nothing is lost on the way and back. */
import assert from "node:assert/strict";
import { LatentSpace, type Scaling } from "../../../objectives/diffusion/latents.ts";
import { draw, testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";

const devices = await openTestDevices();
const [reference] = devices;

/** Features of 3 channels of which the third is the sum of the others, as half of itself: of rank 2, off the origin. */
function features(): Float32Array<ArrayBuffer> {
  const drawn = draw([200, 2], "features");
  return Float32Array.from({ length: 600 }, (_, at) => {
    const [a, b] = [drawn[2 * Math.floor(at / 3)], 4 * drawn[2 * Math.floor(at / 3) + 1]];
    return [a + 5, b, (a + b) / 2 - 1][at % 3];
  });
}

/** The mean and the covariance of rows, in float64. */
function moments(values: Float32Array, width: number): { mean: number[]; covariance: number[][] } {
  const rows = values.length / width;
  const at = (row: number, channel: number) => values[row * width + channel];
  const each = Array.from({ length: width }, (_, channel) => channel);
  const over = (f: (row: number) => number) =>
    Array.from({ length: rows }, (_, row) => f(row)).reduce((sum, value) => sum + value) / rows;
  const mean = each.map((i) => over((row) => at(row, i)));
  return {
    mean,
    covariance: each.map((i) =>
      each.map((j) => over((row) => (at(row, i) - mean[i]) * (at(row, j) - mean[j])))
    ),
  };
}

for (const scaling of ["one", "channels"] as const) {
  for (const components of [undefined, 2]) {
    const name = `${scaling}, ${components ?? "no"} components`;
    testOnEach(
      devices,
      `${name}: latents have mean 0 and deviation 1, and decode back`,
      async (device) => {
        const space = new LatentSpace(device, { width: 3, scaling, components });
        const values = features();
        space.measure(values);
        assert.equal(space.measured.value, 1);
        const x = device.tensor(values, [10, 20, 3]);
        const latents = space.encode(x);
        assert.deepEqual(latents.shape, [10, 20, components ?? 3]);
        const { mean, covariance } = moments(await latents.floats(), space.channels);
        const own = covariance.map((row, at) => row[at]);
        assertClose(mean, mean.map(() => 0), { absolute: 1e-5 }, "means");
        if (scaling === "channels") assertClose(own, own.map(() => 1), 1e-5, "variances");
        const total = own.reduce((sum, value) => sum + value) / own.length;
        assert.ok(Math.abs(total - 1) < 1e-5, `mean variance ${total}`);
        if (components !== undefined) {
          assert.ok(Math.abs(covariance[0][1]) < 1e-5, "components do not vary together");
          assert.ok(scaling === "channels" || own[0] > own[1], "the greatest is first");
        }
        // Two components hold all of features of rank 2.
        assertClose(await space.decode(latents).floats(), values, 1e-5, "back");
      },
    );
  }
}

Deno.test("few components keep the largest variance", async () => {
  using _scope = reference.scope();
  const space = new LatentSpace(reference, { width: 3, scaling: "one", components: 1 });
  const values = features();
  space.measure(values);
  const x = reference.tensor(values, [200, 3]);
  const back = await space.decode(space.encode(x)).floats();
  const error = back.reduce((sum, value, at) => sum + (value - values[at]) ** 2, 0) / 200;
  const { covariance } = moments(values, 3);
  const total = covariance.reduce((sum, row, at) => sum + row[at], 0);
  assert.ok(error > 0 && error < 0.1 * total, `${error} of ${total} is lost`);
});

Deno.test("a constant channel is not rescaled, and features without any variance are rejected", async () => {
  using _scope = reference.scope();
  const space = new LatentSpace(reference, { width: 2, scaling: "channels" });
  space.measure(Float32Array.of(1, 7, 3, 7));
  const x = reference.tensor([1, 7, 3, 7], [2, 2]);
  const latents = space.encode(x);
  assert.deepEqual([...await latents.floats()], [-1, 0, 1, 0]);
  assert.deepEqual([...await space.decode(latents).floats()], [1, 7, 3, 7]);
  assert.throws(() => space.measure(Float32Array.of(1, 7, 1, 7)), {
    name: "RangeError",
    message: "Cannot measure latents: the features must vary, got variance 0",
  });
});

Deno.test("there are at most as many components as channels", () => {
  using _scope = reference.scope();
  for (const components of [0, 4, 1.5]) {
    const options = { width: 3, scaling: "one" as Scaling, components };
    assert.throws(() => new LatentSpace(reference, options), {
      name: "RangeError",
      message: "Cannot make latents: components must be a whole number from 1 to 3, the channels " +
        `of the features, got ${components}`,
    });
  }
});
