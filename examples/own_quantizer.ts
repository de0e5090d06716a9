/** Defines and trains a custom quantiser. Every code is a corner of a cube, so the codebook has nothing to learn and no
 * code can die (the idea of arXiv 2310.05737).
 *
 *     deno run -A examples/own_quantizer.ts
 */
import * as cb from "@codebook/codebook";

class CornerQuantizer extends cb.Quantizer {
  readonly codebookSize = 64;
  readonly codebookDim = 6;
  readonly corners: cb.Tensor;

  constructor(device: cb.Device) {
    super();
    const sign = (_: unknown, i: number) => (Math.floor(i / 6) >> (i % 6)) & 1 ? 1 : -1;
    this.corners = device.tensor(Float32Array.from({ length: 64 * 6 }, sign), [64, 6]);
  }

  quantize(features: cb.Tensor): cb.Quantized {
    const indices = cb.nearestCodes(features, this.corners, "l2");
    const codes = this.lookup(indices);
    const commitment = cb.mul(cb.meanSquaredError(features, codes), 0.25);
    const usage = cb.segmentCount(indices, this.codebookSize);
    return {
      quantized: cb.straightThrough(features, codes),
      indices,
      losses: { commitment },
      usage,
    };
  }

  lookup(indices: cb.Tensor): cb.Tensor {
    return cb.gather(this.corners, indices);
  }
}

using device = await cb.openDevice();
const key = cb.randomKey(1, "example");
const quantizer = new CornerQuantizer(device);
const model = new cb.VQVAE(device, quantizer, { channels: 1, hidden: 32, residualHidden: 8, key });
const optimizer = new cb.Adam(model.namedParameters());
const digits = await cb.openDigits();
const options = { model, optimizer, variance: digits.variance, learningRate: 1e-3 };

let step = 0;
for await (const { images } of cb.trainingBatches(digits, { seed: 1, batchSize: 32, epoch: 0 })) {
  using _scope = device.scope();
  const batch = device.tensor(images, [32, ...digits.imageShape]);
  const { scalars } = cb.trainingStep(batch, { training: true, key: { ...key, step } }, options);
  if (step % 10 === 0) console.log(`step ${step}: loss ${(await scalars.loss.item()).toFixed(3)}`);
  if (step++ === 60) break;
}
