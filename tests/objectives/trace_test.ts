/** Traces: how many frames there are, and what they show. */
import assert from "node:assert/strict";
import sharp from "sharp";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { encodeGif } from "../../data/gif.ts";
import type { Generator } from "../../objectives/generator.ts";
import { Trace } from "../../objectives/trace.ts";
import { makeObjective, tinyFirstStage } from "./second_stage.ts";
import { SAMPLING, tinyDiffusion, tinyFirstStage as waveStage } from "./tiny_diffusion.ts";

const reference = await openDevice("reference");
const key = randomKey(11, "trace");

/** The frames of three images that are made two at a time, and the finished images. */
async function traceOf(generator: Generator, settings: Readonly<Record<string, unknown>>) {
  const trace = new Trace();
  const request = { count: 3, key, settings, batchSize: 2, trace };
  const { images } = await generator.generate(reference, request);
  return { frames: trace.frames, finished: images.subarray(0, 2 * images.length / 3) };
}

Deno.test("frames are spread evenly over the steps, and the last is the finished picture", async () => {
  for (const [steps, most, frames] of [[7, 60, 7], [60, 60, 60], [1000, 60, 60], [50, 3, 3]]) {
    const trace = new Trace(most);
    for (let step = 1; step <= steps; step++) {
      await trace.add(step / steps, () => Float32Array.of(step));
    }
    assert.equal(trace.frames.length, frames, `${steps} steps`);
    assert.equal(trace.frames.at(-1)![0], steps);
  }
});

Deno.test("a diffusion shows the predicted image after each step", async () => {
  using _scope = reference.scope();
  const stage1 = waveStage(reference), latent = tinyDiffusion(reference, { stage1 });
  await latent.prepare(reference);
  for (const generator of [tinyDiffusion(reference), latent]) {
    const { frames, finished } = await traceOf(generator, { ...SAMPLING, steps: 4 });
    assert.equal(frames.length, 4);
    assert.deepEqual(frames[3], finished);
    assert.notDeepEqual(frames[0], finished);
  }
});

Deno.test("a generator of codes shows the codes drawn so far, and grey elsewhere", async () => {
  for (
    const [type, depth, steps] of [
      ["autoregression", undefined, 9],
      ["masking", undefined, 3],
      ["residual-autoregression", 2, 18],
    ] as const
  ) {
    using stage1 = await tinyFirstStage(reference, depth);
    using generator = makeObjective(reference, { type, stage1 }) as Generator;
    const settings = type === "masking" ? { steps } : {};
    const { frames, finished } = await traceOf(generator, settings);
    assert.equal(frames.length, steps, type);
    assert.deepEqual(frames.at(-1), finished);
    const greys = frames.map((frame) => frame.filter((value) => value === 0).length);
    assert.deepEqual(greys, greys.toSorted((a, b) => b - a), "ever fewer");
    assert.ok(greys[0] > 0 && greys.at(-1) === 0, type);
    // The first code's pixels are the left upper ninth.
    if (type === "autoregression") assert.equal(greys[0], 2 * (12 * 12 - 16));
  }
});

Deno.test("a GIF has every frame, at one size, and pauses on the last", async () => {
  for (const channels of [1, 3] as const) {
    const frames = [0, 100, 200].map((grey) => new Uint8Array(20 * 30 * channels).fill(grey));
    const gif = await encodeGif({ frames, height: 20, width: 30, channels });
    const { format, pages, pageHeight, width, delay, loop } = await sharp(gif, { animated: true })
      .metadata();
    assert.deepEqual([format, pages, pageHeight, width, loop], ["gif", 3, 20, 30, 0]);
    assert.deepEqual(delay, [80, 80, 2000]);
    for (const [page, frame] of frames.entries()) {
      const [value] = await sharp(gif, { page }).greyscale().raw().toBuffer();
      assert.ok(Math.abs(value - frame[0]) <= 2, `${value} ${frame[0]}`);
    }
  }
});
