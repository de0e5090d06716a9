/** The base class of all objectives that train a first stage: evaluation, monitoring and samples. */
import { withoutGradients } from "../core/execute.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { fromJsonNumber } from "../files/json_number.ts";
import type { Batch } from "../data/batches.ts";
import type { Dataset, MeasuredSplit } from "../data/dataset.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import type { Context } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import type { UpdateOptions } from "../nn/update.ts";
import type { QuantizerConfig } from "../quantizers/registry.ts";
import { CodebookWatch, collapseWarning } from "./codebook_watch.ts";
import { evaluate } from "./evaluate_model.ts";
import { type Inspection, Objective, type ObjectiveEvaluation, type Scalars } from "./objective.ts";
import { evaluationProtocol, measuredImages, testNumbers } from "./protocol.ts";
import { drawSampleGrid } from "./sample_grid.ts";

/** Options of the constructor. */
export interface FirstStageOptions extends UpdateOptions {
  /** The model that is trained. */
  readonly model: Autoencoder;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  /** The images. The loss uses the variance of the training images. */
  readonly dataset: Dataset;
  /** A code that was not chosen for this many steps counts as dead. */
  readonly stepsPerEpoch: number;
  /** How many parts a step splits its batch into, to save memory; by default 1. */
  readonly accumulate?: number;
  /** The quantiser's settings, for the warning about a collapsed codebook. */
  readonly quantizer?: QuantizerConfig;
}

/** Whether weight decay applies to a parameter of a first stage. It applies to matrices and filters, not to biases,
 * gains of norms, and codes. */
export function decaysIn({ quantizer }: Autoencoder): (parameter: Tensor) => boolean {
  const codes = new Set(quantizer.parameters());
  return (parameter) => parameter.shape.length > 1 && !codes.has(parameter);
}

/** The largest number of test images on a sample grid. */
const SAMPLES = 16;

/** Trains a first stage. A subclass defines what a step minimises. The evaluation measures the reconstructions of test
 * images, and a `CodebookWatch` counts dead codes. The scalars must include those of `STEP_SCALARS`, which
 * `forwardInTraining` and `updateModel` return.
 */
export abstract class FirstStageObjective extends Objective {
  /** Monitors the usage of the codebook. */
  readonly codebook: CodebookWatch;
  /** The model that is trained. */
  readonly model: Autoencoder;
  /** Updates its parameters. */
  readonly optimizer: Optimizer;
  readonly #options: FirstStageOptions;
  #originals: Promise<Float32Array<ArrayBuffer>> | undefined;

  /** Makes the objective for a model and its optimiser. */
  constructor(device: Device, options: FirstStageOptions) {
    super();
    const { model, optimizer, stepsPerEpoch } = options;
    this.#options = options;
    this.codebook = new CodebookWatch(device, model.quantizer.codebookSize, stepsPerEpoch);
    this.model = model;
    this.optimizer = optimizer;
  }

  /** Each process measures its own batches. */
  override get measuresParts(): boolean {
    return true;
  }

  /** Measures the reconstructions and the usage of the codebook. */
  async evaluate(
    split: MeasuredSplit,
    batches: AsyncIterable<Batch>,
    context: Context,
  ): Promise<ObjectiveEvaluation> {
    const { model } = this;
    const { dataset } = this.#options;
    const { device } = this.codebook.ages;
    const evaluation = await evaluate(
      ...[device, model, batches, dataset.imageShape, context.key] as const,
      undefined,
      context.replicas,
    );
    const measured = measuredImages(dataset, { split, precision: device.precision });
    const { protocol, ...numbers } = await testNumbers(evaluation, dataset, measured);
    const { mse, psnr, usage, perplexity } = numbers;
    return {
      numbers,
      protocol,
      rankBy: "mse",
      better: "lower",
      protocols: { [protocol]: evaluationProtocol(dataset, measured) },
      shown: [
        ["mse", mse.toPrecision(5)],
        ["PSNR", `${fromJsonNumber(psnr).toFixed(2)} dB`],
        ["usage", `${(100 * usage).toFixed(1)} %`],
        ["perplexity", perplexity.toFixed(1)],
      ],
      counts: evaluation.counts,
    };
  }

  /** The learning rate. */
  learningRates(step: number): Scalars {
    return { learningRate: this.#options.learningRate(step) };
  }

  /** Reports the state of the codebook. */
  override async inspect(means: Scalars): Promise<Inspection> {
    const codebook = await this.codebook.read(this.model.quantizer);
    const { codesInUse, deadCodes, deadSteps, codeLength, perplexity, collapsed } = codebook;
    const { codebookSize } = this.model.quantizer;
    const dead = deadSteps === null ? "" : ` for ${deadSteps.toFixed(0)} steps`;
    const settings = this.#options.quantizer;
    return {
      record: { codebook },
      phrases: [
        [`loss ${means.loss.toPrecision(4)}`, 5],
        [`${codesInUse}/${codebookSize} codes${deadCodes > 0 ? `, ${deadCodes} dead` : ""}`, 4],
        [`perplexity ${perplexity.toFixed(1)}`, 2],
      ],
      summary: [
        `${codesInUse} of ${codebookSize} codes chosen`,
        `perplexity ${perplexity.toFixed(1)}`,
        `${deadCodes} dead${dead}`,
        ...("moved" in means
          ? [`${(100 * means.moved).toFixed(1)} % of the codes moved per step`]
          : []),
        ...("featureLength" in means
          ? [`features of length ${means.featureLength.toPrecision(3)}`]
          : []),
        ...(codeLength === null ? [] : [`codes of length ${codeLength.toPrecision(3)}`]),
      ],
      ...collapsed && settings !== undefined &&
        { warning: collapseWarning(codebook, codebookSize, settings) },
    };
  }

  /** Starts counting the next epoch. */
  override endEpoch(): void {
    this.codebook.nextEpoch();
  }

  /** Draws up to 16 test images, spread evenly over the set, above their reconstructions. */
  override async samples(device: Device, context: Context): Promise<Uint8Array<ArrayBuffer>> {
    const { imageShape, sizes } = this.#options.dataset;
    const count = Math.min(SAMPLES, sizes.test);
    const originals = await (this.#originals ??= this.#readOriginals(count));
    using _scope = device.scope();
    const images = device.tensor(originals, [count, ...imageShape]);
    const { reconstruction } = withoutGradients(() => this.model.forward(images, context));
    const reconstructions = await reconstruction.floats();
    return drawSampleGrid({ originals, reconstructions, imageShape });
  }

  /** Reads the test images for the samples. They stay in memory, because some data sets take long to read them. */
  #readOriginals(count: number): Promise<Float32Array<ArrayBuffer>> {
    const { dataset } = this.#options;
    const chosen = Int32Array.from(
      { length: count },
      (_, index) => Math.floor(index * dataset.sizes.test / count),
    );
    return dataset.images("test", chosen);
  }
}
