/** Which indices can be looked up, for every method in the registry. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assign } from "../../core/execute.ts";
import { slice } from "../../core/functions/movement.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { contextOf, featuresOf, VARIANTS } from "./variants.ts";

const devices = await openTestDevices();

const positions = fc.array(fc.integer({ min: -5, max: 1000 }), { minLength: 1, maxLength: 6 });

for (const { name, make } of VARIANTS) {
  testOnEach(devices, `${name}: indices out of range are rejected`, (device) => {
    const quantizer = make(device);
    const { codebookSize: K, codeAxes } = quantizer;
    const look = (indices: readonly number[]) => {
      using _scope = device.scope();
      const each = codeAxes.reduce((product, axis) => product * axis, 1);
      const all = Int32Array.from(indices.flatMap((index) => Array(each).fill(index)));
      return quantizer.lookup(device.tensor(all, [indices.length, ...codeAxes])).shape;
    };
    const property = fc.property(positions, (indices) => {
      const wrong = indices.filter((index) => index < -1 || index >= K);
      if (wrong.length === 0) {
        const shape = [indices.length, ...quantizer.grid ?? [], quantizer.codebookDim];
        assert.deepEqual(look(indices), shape);
        return;
      }
      const least = Math.min(...wrong), got = least < -1 ? least : Math.max(...wrong);
      assert.throws(() => look(indices), {
        name: "RangeError",
        message:
          `Cannot look up codes: every index must be in [0, ${K}), or −1 for padding, got ${got}`,
      });
    });
    fc.assert(property, { seed: 3, numRuns: 20 });
  });
}

testOnEach(devices, "computed indices are looked up without a check", async (device) => {
  const quantizer = VARIANTS[0].make(device, 4);
  const features = featuresOf(quantizer, [5], "features", device);
  const { indices, quantized } = quantizer.quantize(features, contextOf(0, false));
  assert.equal(indices.hostRange, undefined);
  assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
});

testOnEach(
  devices,
  "the range of indices from the host is known until they are overwritten",
  (device) => {
    const indices = device.tensor(Int32Array.of(3, -7, 64), [3]);
    assert.deepEqual(indices.hostRange, [-7, 64]);
    assert.deepEqual(indices.view([1, 3]).hostRange, [-7, 64], "another view of the memory");
    assert.equal(slice(indices, [0], [1]).hostRange, undefined, "what is computed");
    assert.equal(device.tensor([1, 2], [2]).hostRange, undefined, "floats");
    indices.write(Int32Array.of(0, 1, 2));
    assert.deepEqual(indices.hostRange, [0, 2]);
    assign(indices, slice(device.tensor(Int32Array.of(9, 9, 9, 9), [4]), [0], [3]));
    assert.equal(indices.hostRange, undefined, "computed values in place");
    indices.write(Int32Array.of(5, 5, 5));
    indices.dispose();
    const fresh = device.empty([3], "int32");
    assert.equal(fresh.hostRange, undefined, "memory that is used again");
  },
);
