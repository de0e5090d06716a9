/** How much a first stage of digits forgives: replaces some codes of the test images by those of other images at the same
 * position, decodes, and prints the FID in digit features.
 *
 *     deno run -A docs/studies/forgiveness.ts RUN...
 */
import * as cb from "@codebook/codebook";
import { DigitDistance } from "./digit_distance.ts";

const SHARES = [0, 0.05, 0.1, 0.2];

using device = await cb.openDevice("cpu");
using distance = await DigitDistance.open(device);
const { count, test } = distance, size = test.length / count;

for (const folder of Deno.args) {
  using run = await cb.openRun(folder, device);
  const parts: Int32Array[] = [];
  let codeShape: readonly number[] = [];
  await distance.inBatches(async (first, images) => {
    const { indices } = run.model.encode(distance.tensorOf(test, first, images));
    codeShape = indices.shape.slice(1);
    parts.push(await indices.integers());
  });
  const codes = Int32Array.from(parts.flatMap((part) => [...part]));
  const length = codes.length / count, found: string[] = [];
  for (const share of SHARES) {
    const chances = await cb.uniform(device, [2, codes.length], cb.randomKey(1, "codes")).floats();
    const replaced = codes.map((code, at) => {
      const other = Math.floor(chances[codes.length + at] * count);
      return chances[at] < share ? codes[other * length + at % length] : code;
    });
    const decoded = new Float32Array(count * size);
    await distance.inBatches(async (first, images) => {
      const own = replaced.slice(first * length, (first + images) * length);
      const made = run.model.decode(device.tensor(own, [images, ...codeShape]));
      decoded.set(await made.floats(), first * size);
    });
    found.push(`${100 * share} %: ${(await distance.of(decoded)).toFixed(1)}`);
  }
  console.log(`${folder}  ${found.join("  ")}`);
}
