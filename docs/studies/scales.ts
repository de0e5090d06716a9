/** How far the first scales determine a digit: keeps those of the test images and decodes them alone, and with all others
 * drawn by the transformer of a next-scale run. Prints both FIDs in digit features.
 *
 *     deno run -A docs/studies/scales.ts RUN...
 */
import * as cb from "@codebook/codebook";
import { DigitDistance } from "./digit_distance.ts";

const CHOICE = { temperature: 1, topK: 25, topP: null };

using device = await cb.openDevice("cpu");
using distance = await DigitDistance.open(device);
const { count, test } = distance, size = test.length / count;

/** The codes of the first scales, of each image. */
function firstOf(codes: Int32Array, length: number, kept: number): Int32Array<ArrayBuffer> {
  return codes.filter((_, at) => at % length < kept);
}

for (const folder of Deno.args) {
  using opened = await cb.openGenerator(folder, device);
  const { generator: { model }, config } = opened;
  using run = await cb.openRun(config.stage1!, device);
  const { quantizer: whole } = run.model.network;
  const quantizer = whole instanceof cb.NormalizedQuantizer ? whole.inner : whole;
  if (!(model instanceof cb.ScaleTransformer) || !(quantizer instanceof cb.MultiScaleQuantizer)) {
    throw new Error(`Cannot read ${folder}: the run must be of next-scale prediction`);
  }
  const lengths = quantizer.scales.map((side) => side ** 2);
  const ends = lengths.map((_, scale) => lengths.slice(0, scale + 1).reduce((a, b) => a + b));
  const length = ends.at(-1)!;

  /** Draws the codes of a scale after those of all scales before it. */
  const drawScale = async (codes: Int32Array<ArrayBuffer>, scale: number, first: number) => {
    using _scope = device.scope();
    const images = codes.length / length, own = lengths[scale], before = ends[scale] - own;
    const labels = distance.labels.slice(first, first + images);
    const told = device.tensor(model.classes === 0 ? labels.fill(0) : labels, [images]);
    const known = firstOf(codes, length, before);
    const logits = await cb.withoutGradients(() => {
      const sums = before === 0
        ? undefined
        : quantizer.before(device.tensor(known, [images, before]));
      const features = model.forward({ labels: told, sums });
      return model.logits(cb.slice(features, [0, before, 0], [images, own, features.shape[2]]));
    }).floats();
    const key = cb.randomKey(first, "scales"), choices = logits.length / images / own;
    const chances = await cb.uniform(device, [images * own], cb.partKey(key, scale)).floats();
    chances.forEach((chance, at) => {
      const row = logits.subarray(at * choices, (at + 1) * choices);
      const place = Math.floor(at / own) * length + before + at % own;
      codes[place] = cb.chooseCode(row, CHOICE, chance).code;
    });
  };

  for (let kept = 0; kept <= lengths.length; kept++) {
    const alone = new Float32Array(count * size), completed = new Float32Array(count * size);
    await distance.inBatches(async (first, images) => {
      const { indices } = run.model.encode(distance.tensorOf(test, first, images));
      const codes = await indices.integers(), end = kept === 0 ? 0 : ends[kept - 1];
      if (kept > 0) {
        const some = device.tensor(firstOf(codes, length, end), [images, end]);
        alone.set(await run.model.decode(some).floats(), first * size);
      }
      for (let scale = kept; scale < lengths.length; scale++) await drawScale(codes, scale, first);
      completed.set(
        await run.model.decode(device.tensor(codes, [images, length])).floats(),
        first * size,
      );
    });
    const shown = kept === 0 ? "" : `  alone ${(await distance.of(alone)).toFixed(1)}`;
    console.log(
      `${folder}  ${kept} scales${shown}  completed ${(await distance.of(completed)).toFixed(1)}`,
    );
  }
}
