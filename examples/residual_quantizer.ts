/** Trains a residual quantiser, which encodes each position by a few codes from coarse to fine. Shows how the
 * reconstruction improves with every level (RQ-VAE, arXiv 2203.01941).
 *
 *     deno run -A examples/residual_quantizer.ts
 */
import * as cb from "@codebook/codebook";

using device = await cb.openDevice();
const key = cb.randomKey(1, "example");
const quantizer = new cb.ResidualQuantizer({
  // Any quantiser can be inside, one for each level or one for all. Here each level has two quantisers of 8 codes, each
  // on half of the channels.
  inner: (key) =>
    new cb.ProductQuantizer({
      inner: (key) =>
        new cb.EmaQuantizer(device, {
          codebookSize: 8,
          codebookDim: 4,
          initialization: "kmeans",
          replaceBelow: 1,
          key,
        }),
      heads: 2,
      key,
    }),
  depth: 3,
  dropout: 0.5, // Half of the steps stop at a random level, so that the decoder also learns coarse codes.
  shared: false,
  key,
});
const model = new cb.VQVAE(device, quantizer, { channels: 1, hidden: 32, residualHidden: 8, key });
const optimizer = new cb.Adam(model.namedParameters());
const digits = await cb.openDigits();
const options = { model, optimizer, variance: digits.variance, learningRate: 1e-3 };

let step = 0;
for (let epoch = 0; epoch < 3; epoch++) {
  for await (const { images } of cb.trainingBatches(digits, { seed: 1, batchSize: 32, epoch })) {
    using _scope = device.scope();
    const batch = device.tensor(images, [32, ...digits.imageShape]);
    const { scalars } = cb.trainingStep(batch, { training: true, key: { ...key, step } }, options);
    if (step % 100 === 0) {
      console.log(`step ${step}: loss ${(await scalars.loss.item()).toFixed(3)}`);
    }
    step++;
  }
}

using _scope = device.scope();
const images = device.tensor(
  await digits.images("test", Int32Array.from({ length: 64 }, (_, index) => index)),
  [64, ...digits.imageShape],
);
const { indices } = model.forward(images, { training: false, key }).quantized; // [64, 7, 7, 3, 2]
for (let levels = 1; levels <= 3; levels++) {
  const coarse = cb.slice(indices, [0, 0, 0, 0, 0], [64, 7, 7, levels, 2]);
  const rebuilt = model.decoder.forward(quantizer.lookup(coarse));
  const mse = await cb.meanSquaredError(rebuilt, images).item();
  console.log(`${levels * 2} codes, ${levels * 6} bits per position: mse ${mse.toFixed(4)}`);
}
