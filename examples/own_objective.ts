/** An objective of your own: a denoising autoencoder. It reconstructs clean images from noisy ones, through codes. The
 * toolkit provides the training loop, checkpoints, resuming, the evaluation and the report.
 *
 *     deno run -A examples/own_objective.ts [FOLDER]
 */
import * as cb from "@codebook/codebook";

/** The standard deviation of the noise. */
const NOISE = 0.5;

class Denoising extends cb.ReconstructionObjective {
  override readonly scalars = ["loss", "mse"];
  readonly #update: cb.Update;

  constructor(device: cb.Device, options: cb.ReconstructionOptions) {
    super(device, options);
    this.#update = new cb.Update(this.model.parameters(), this.optimizer, options);
  }

  override step({ images }: cb.TrainingBatch, { step, ...context }: cb.StepContext) {
    const { device } = images;
    using scope = device.scope();
    const noise = cb.mul(cb.normal(device, images.shape, { ...context.key, stream: 1 }), NOISE);
    const features = this.model.encode(cb.add(images, noise), context);
    this.model.quantizer.begin(features, context);
    const { reconstruction, quantized } = this.model.rebuild(features, context);
    const mse = cb.meanSquaredError(reconstruction, images);
    const loss = Object.values(quantized.losses).reduce(cb.add, mse);
    const gradients = cb.backward(loss, this.#update.parameters);
    return cb.withoutGradients(() => {
      const moves = this.model.quantizer.update({ features, ...quantized }, context);
      this.#update.step(gradients, step, moves.filter(({ forgets }) => forgets));
      this.codebook.add(quantized.usage);
      return { loss: scope.keep(loss), mse: scope.keep(mse) };
    });
  }
}

const path = Deno.args[0] ?? await Deno.makeTempDir({ prefix: "denoising-" });
const config = cb.resolveConfig({
  flags: {
    out: path,
    model: { hidden: 16, residualHidden: 8 },
    quantizer: { codebookSize: 64, codebookDim: 16 },
    training: { batchSize: 64, epochs: 1 },
  },
});
using device = await cb.openDevice();
const dataset = await cb.openDigits();

/** Trains up to a step, from the last checkpoint if there is one. */
async function train(maxSteps: number, resume: boolean): Promise<void> {
  const model = cb.constructModel(config, device, dataset);
  using objective = new Denoising(device, {
    model,
    optimizer: new cb.Adam(model.namedParameters()),
    dataset,
    stepsPerEpoch: cb.stepsPerEpoch(dataset, 64),
    learningRate: () => 1e-3,
  });
  const { steps, test } = await cb.train({
    ...config.training,
    ...{ device, objective, dataset, seed: config.seed, maxSteps, resume },
    folder: new cb.RunFolder(path),
    identity: cb.identityOf(config),
    onProgress: ({ step, scalars }) => console.log(`step ${step}: loss ${scalars.loss.toFixed(3)}`),
  });
  console.log(`stopped after step ${steps}: test mse ${test?.numbers.mse}`);
}

await new cb.RunFolder(path).writeConfig(config);
await train(30, false);
await train(60, true);
console.log(`\`deno task evaluate ${path}\` measures it and writes its report`);
