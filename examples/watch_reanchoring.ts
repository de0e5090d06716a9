/** Shows what happens to a clustered codebook during training: the lengths of features and codes, how many codes are
 * dead, and to how many different features each way of sampling anchors would move them.
 *
 *     deno run -A examples/watch_reanchoring.ts [STEPS]
 */
import * as cb from "@codebook/codebook";

const steps = Number(Deno.args[0] ?? 61);
using device = await cb.openDevice();
const key = cb.randomKey(42, "watch");
const quantizer = new cb.ClusteredQuantizer(device, { key });
const model = new cb.VQVAE(device, quantizer, { channels: 1, hidden: 32, residualHidden: 8, key });
const optimizer = new cb.Adam(model.namedParameters());
const digits = await cb.openDigits();
const options = { model, optimizer, variance: digits.variance, learningRate: 1e-3 };
const samplings = {
  closest: new cb.ClosestAnchors("cos"),
  probrandom: new cb.ProbabilisticAnchors("cos"),
  distinct: new cb.DistinctAnchors(),
  error: new cb.ErrorAnchors("cos"),
};

/** The number of different anchors among those of the dead codes. */
async function differentAnchors(
  anchors: cb.Anchors,
  features: cb.Tensor,
  dead: readonly number[],
): Promise<number> {
  const rows = cb.reshape(features, [-1, quantizer.codebookDim]);
  const sampled = await anchors.sample(rows, quantizer.codebook, key).floats();
  return new Set(dead.map((code) => sampled.slice(code * 64, code * 64 + 64).join())).size;
}

for (let step = 0, epoch = 0; step < steps; epoch++) {
  for await (const { images } of cb.trainingBatches(digits, { seed: 1, batchSize: 64, epoch })) {
    using _scope = device.scope();
    const batch = device.tensor(images, [64, ...digits.imageShape]);
    const context = { training: true, key: { ...key, step } };
    if (step % 10 === 0) {
      const { features } = model.forward(batch, { training: false, key });
      const usage = await quantizer.reanchoring.runningUsage.floats();
      const alpha = usage.map((share) => Math.exp(-share * 512 * 10 / (1 - 0.99)));
      const dead = [...alpha.keys()].filter((code) => alpha[code] > 0.5);
      const counts = await Promise.all(
        Object.entries(samplings).map(async ([name, anchors]) =>
          `${name} ${await differentAnchors(anchors, features, dead)}`
        ),
      );
      const [z, e] = await Promise.all(
        [features, quantizer.codebook].map((vectors) => cb.meanLength(vectors).item()),
      );
      console.log(
        `step ${step}: features of length ${z.toFixed(2)}, codes of ${e.toFixed(2)}; ` +
          `${dead.length} dead codes would go to different features: ${counts.join(", ")}`,
      );
    }
    const { scalars } = cb.trainingStep(batch, context, options);
    if (step % 10 === 0) console.log(`  loss ${(await scalars.loss.item()).toFixed(3)}`);
    if (++step === steps) break;
  }
}
