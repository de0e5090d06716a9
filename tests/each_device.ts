/** What the tests of everything above the operations share: a test on each device, and values to test with. */
import assert from "node:assert/strict";
import { randomKey } from "../core/random.ts";
import type { Shape } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { uniform } from "./core/operands.ts";

/** Registers a test on each device, inside a scope; it fails if memory is alive after the scope. */
export function testOnEach(
  devices: readonly Device[],
  name: string,
  body: (device: Device) => Promise<void> | void,
): void {
  for (const device of devices) {
    Deno.test(`${name} (${device.name})`, async () => {
      const before = device.liveBytes;
      {
        using _scope = device.scope();
        await body(device);
      }
      assert.equal(device.liveBytes, before, "bytes alive after the test");
    });
  }
}

/** float32 values, uniform in [low, high): the same for one purpose in every run, on every device. */
export function draw(
  shape: Shape,
  purpose: string,
  low = -1,
  high = 1,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(uniform(shape, low, high).values(randomKey(20240708, purpose)));
}
