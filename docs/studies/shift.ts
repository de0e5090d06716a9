/** What a codebook does when the data change: trains on shapes, then on emoji, and measures usage and error on the test
 * emoji along the way. Prints a row per codebook and seed, as CSV.
 *
 *     deno run -A docs/studies/shift.ts [SEED...] [--steps 350]
 *
 * `--steps` is the number of training steps on shapes, and on emoji.
 */
import { parseArgs } from "node:util";
import * as cb from "@codebook/codebook";

const CODES = { codebookSize: 512, codebookDim: 64 };
/** An EMA codebook with k-means initialisation and normalised features. */
const EMA = {
  type: "ema",
  initialization: "kmeans",
  normalization: "batch",
  decay: 0.95,
} as const;
const CODEBOOKS: Readonly<Record<string, cb.QuantizerSettings>> = {
  "clustered-ema: γ 0.95": { type: "clustered-ema" },
  "ema: k-means, normalised, replaced, γ 0.95": { ...EMA, replaceBelow: 1 },
  "ema: k-means, normalised, γ 0.95": EMA,
  "hard-features: k-means, normalised, below 2": {
    type: "hard-features",
    initialization: "kmeans",
    normalization: "batch",
    replaceBelow: 2,
  },
  "vanilla: k-means, normalised": {
    type: "vanilla",
    initialization: "kmeans",
    normalization: "batch",
  },
  "clustered: as published": { type: "clustered" },
};
const BATCH = 128;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { steps: { type: "string", default: "350" } },
});
/** Steps on shapes. */
const BEFORE = Number(flags.steps);
/** Steps on emoji after which the test emoji are measured. */
const MEASURED = [...[0, 10, 30, 100].filter((step) => step < BEFORE), BEFORE];

const device = await cb.openDevice("cpu", { threads: 1 });
const shapes = await cb.openDataset({ name: "shapes", size: 32 });
const emoji = await cb.openDataset({ name: "emoji", size: 32 });

console.log("codebook,seed,shapesBefore,emojiSteps,usage,perplexity,mse");
for (const seed of positionals.length > 0 ? positionals.map(Number) : [42, 43]) {
  for (const [name, quantizer] of Object.entries(CODEBOOKS)) {
    for (const before of [BEFORE, 0]) await watch(name, quantizer, seed, before);
  }
}
device[Symbol.dispose]();

/** Trains on shapes for some steps, then on emoji, and prints what the codebook does there. */
async function watch(
  name: string,
  quantizer: cb.QuantizerSettings,
  seed: number,
  before: number,
): Promise<void> {
  using _scope = device.scope();
  const key = cb.randomKey(seed, "model");
  const model = new cb.VQVAE(device, cb.createQuantizer(device, { ...CODES, ...quantizer }, key), {
    ...{ channels: 3, hidden: 32, residualHidden: 8, key },
  });
  const optimizer = new cb.Adam(model.namedParameters());
  let step = 0;
  const learn = async (dataset: cb.Dataset, steps: number) => {
    for await (const { images, count } of batches(dataset, seed, steps)) {
      using _step = device.scope();
      cb.trainingStep(
        device.tensor(images, [count, ...dataset.imageShape]),
        { training: true, key: { ...cb.randomKey(seed, "step"), step: step++ } },
        { model, optimizer, variance: dataset.variance, learningRate: 3e-4 },
      );
    }
  };
  await learn(shapes, before);
  let learnt = 0;
  for (const until of MEASURED) {
    await learn(emoji, until - learnt);
    learnt = until;
    const { usage, perplexity, mse } = await measure(new cb.FirstStage(model, key));
    const numbers = [usage, perplexity, mse].map((value) => value.toPrecision(6));
    console.log([`"${name}"`, seed, before, until, ...numbers].join(","));
  }
}

/** A number of training batches, over as many epochs as it takes. */
async function* batches(dataset: cb.Dataset, seed: number, count: number) {
  for (let epoch = 0; count > 0; epoch++) {
    for await (const batch of cb.trainingBatches(dataset, { seed, batchSize: BATCH, epoch })) {
      yield batch;
      if (--count === 0) return;
    }
  }
}

/** Usage, perplexity and error on all test emoji. */
async function measure(model: cb.FirstStage) {
  const counts = new Int32Array(CODES.codebookSize);
  let squares = 0, values = 0;
  for await (
    const { images, count } of cb.evaluationBatches(emoji, { split: "test", batchSize: BATCH })
  ) {
    using _scope = device.scope();
    const { indices } = model.encode(device.tensor(images, [count, ...emoji.imageShape]));
    for (const code of await indices.integers()) counts[code]++;
    const rebuilt = await model.decode(indices).floats();
    images.forEach((value, at) => squares += (value - rebuilt[at]) ** 2);
    values += images.length;
  }
  return { ...cb.codebookUse(counts), mse: squares / values };
}
