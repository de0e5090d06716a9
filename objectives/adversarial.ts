/** Adversarial training of a first stage, as in VQGAN (Esser et al. 2021, arXiv 2012.09841, 3.1 and eq. 7). */
import { backward, detach, parameter, withoutGradients } from "../core/execute.ts";
import { full } from "../core/functions/creation.ts";
import { add, clamp, div, mul } from "../core/functions/elementwise.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Discriminator } from "../models/discriminator.ts";
import { globalNorm } from "../nn/gradients.ts";
import { meanAbsoluteError, meanSquaredError } from "../nn/losses.ts";
import { partKey } from "../nn/initializers.ts";
import { type Context, freeze } from "../nn/module.ts";
import type { Optimizer } from "../nn/optimizers.ts";
import { averageOverRanks, type Replicas, SINGLE } from "../nn/replicas.ts";
import { Update } from "../nn/update.ts";
import { ADVERSARIAL_LOSSES, type AdversarialLossName } from "./adversarial_losses.ts";
import { augment } from "./differentiable_augmentation.ts";
import { FirstStageObjective, type FirstStageOptions } from "./first_stage.ts";
import type { Inspection, Scalars, StepContext, TrainingBatch } from "./objective.ts";
import { forwardInTraining, STEP_SCALARS, updateModel } from "./training_step.ts";

/** A perceptual distance between two batches of images: `[B, H, W, C]` twice → `[B]`. It is differentiable with respect
 * to both. `Lpips` is one. */
export interface Perceptual extends Disposable {
  /** Computes the distance of each pair. */
  forward(a: Tensor, b: Tensor): Tensor;
}

/** The settings of the losses in a configuration. */
export interface AdversarialWeights {
  /** The pixel loss: the absolute difference (l1) or the squared difference (l2). */
  readonly pixelLoss: "l1" | "l2";
  /** w_p: the weight of the perceptual term. */
  readonly perceptualWeight: number;
  /** w_g: the weight of the generator's term. It multiplies the adaptive weight. */
  readonly generatorWeight: number;
  /** w_q: the weight of the quantiser's losses. */
  readonly quantizerWeight: number;
  /** The losses of the generator and the discriminator. */
  readonly discLoss: AdversarialLossName;
  /** The step, counted from 0, at which the discriminator starts to learn. */
  readonly discStart: number;
  /** The number of steps that the discriminator learns before the generator's term is added. */
  readonly discWarmupSteps: number;
  /** The number of steps over which the generator's term then grows to its full weight. */
  readonly generatorRampSteps: number;
  /** Whether the inputs of the discriminator are augmented; see `augment`. */
  readonly discAugment: boolean;
}

/** Options of the constructor. */
export interface AdversarialOptions extends FirstStageOptions, Partial<AdversarialWeights> {
  /** Distinguishes images from reconstructions. */
  readonly discriminator: Discriminator;
  /** Updates its parameters. */
  readonly discriminatorOptimizer: Optimizer;
  /** The perceptual term; "none" omits it. The objective disposes of it. */
  readonly perceptual: Perceptual | "none";
}

/** The default weights. They are those of VQGAN, except for the start of the discriminator, which depends on the length
 * of a run. */
export const ADVERSARIAL_DEFAULTS: AdversarialWeights = {
  pixelLoss: "l1",
  perceptualWeight: 1,
  generatorWeight: 0.8,
  quantizerWeight: 1,
  discLoss: "hinge",
  discStart: 0,
  discWarmupSteps: 0,
  generatorRampSteps: 0,
  discAugment: false,
};

/** The constant added to the norm in the denominator, and the largest ratio of the norms. */
const EPSILON = 1e-4, MOST = 1e4;
/** Separates the random numbers of the augmentation from those of the quantiser. */
const AUGMENTATION = 101;
/** Above this adaptive weight, the discriminator is known to ruin reconstructions. */
const DANGEROUS = 25;

/** The autoencoder minimises, for images x and their reconstructions x̂,
 *
 *     nll = mean(|x − x̂|) + w_p·mean(perceptual(x, x̂))
 *     nll + f·λ·g + w_q·(the quantiser's losses)    λ = w_g·clamp(‖∂nll/∂W‖/(‖∂g/∂W‖ + 1e−4), 0, 1e4)
 *
 * where g is the generator's loss and W the weight of the decoder's last convolution. λ is treated as a constant: it
 * has no gradient. The discriminator minimises its own loss on x and x̂, without a gradient to x̂. A step consists of
 * the forward pass, the update of the autoencoder, and the update of the discriminator.
 *
 * f is 0 until the discriminator has learned for `discWarmupSteps` steps from `discStart` on. Then it grows to 1 over
 * `generatorRampSteps`. While f is 0, the generator's term is not computed. Before `discStart` the discriminator does
 * not run, and its optimiser does not count steps.
 *
 * Unlike in taming's code, the discriminator's update uses x̂ of the forward pass, not a new x̂ from the updated
 * autoencoder. As in taming, the perceptual term is a mean over images. If a quantiser has its own form of the
 * reconstruction loss (`sq`), it is not used.
 *
 * ```ts
 * import {
 *   Adam, AdversarialObjective, Discriminator, memoryDataset, openDevice, randomKey, uniform, VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "example");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const discriminator = new Discriminator(device, { channels: 1, width: 2, layers: 1, key });
 * const images = uniform(device, [2, 8, 8, 1], key, -1, 1);
 * const train = await images.floats();
 * const objective = new AdversarialObjective(device, {
 *   model,
 *   optimizer: new Adam(model.namedParameters()),
 *   discriminator,
 *   discriminatorOptimizer: new Adam(discriminator.namedParameters()),
 *   perceptual: "none",
 *   dataset: memoryDataset({ name: "noise", imageShape: [8, 8, 1], train, test: train }),
 *   stepsPerEpoch: 1,
 *   learningRate: () => 3e-4,
 * });
 * using _scope = device.scope();
 * const { loss, discriminatorLoss } = objective.step({ images }, { training: true, key, step: 0 });
 * console.log(await loss.item(), await discriminatorLoss.item());
 * ```
 */
export class AdversarialObjective extends FirstStageObjective {
  /** Distinguishes images from reconstructions. */
  readonly discriminator: Discriminator;
  /** Updates its parameters. */
  readonly discriminatorOptimizer: Optimizer;
  /** The names of the scalars: those of a reconstruction, the parts of both losses, λ, and the mean logits of x and x̂.
   * Values that a step does not compute are 0. */
  readonly scalars: readonly string[];
  readonly #options: AdversarialOptions & AdversarialWeights;
  readonly #update: Update;
  readonly #discriminatorUpdate: Update;

  /** Makes the objective for the networks and their optimisers. */
  constructor(device: Device, options: AdversarialOptions) {
    super(device, options);
    const { model, optimizer, discriminator, discriminatorOptimizer, perceptual } = options;
    this.discriminator = discriminator;
    this.discriminatorOptimizer = discriminatorOptimizer;
    this.#options = { ...ADVERSARIAL_DEFAULTS, ...options };
    this.#update = new Update(model.parameters(), optimizer, options);
    const parameters = discriminator.parameters();
    this.#discriminatorUpdate = new Update(parameters, discriminatorOptimizer, options);
    this.scalars = [
      ...STEP_SCALARS,
      "pixelLoss",
      ...perceptual === "none" ? [] : ["perceptualLoss"],
      ...["generatorLoss", "discriminatorLoss", "adaptiveWeight", "logitsReal", "logitsFake"],
    ];
  }

  /** Makes a training step. */
  step(
    { images }: TrainingBatch,
    { step, ...context }: StepContext,
  ): Readonly<Record<string, Tensor>> {
    const { device } = images;
    const { model } = this;
    using scope = device.scope();
    const pass = forwardInTraining(model, images, context, scope);
    const { mse, quantizerLoss, reconstruction, quantized } = pass;
    // The image losses are differentiated only up to here. One backward pass then takes their gradients through the
    // model.
    const seen = parameter(detach(reconstruction));
    const fidelity = this.#fidelity(seen, images);
    const generator = this.#generator(seen, context, step);
    device.phase("backward");
    const { replicas = SINGLE } = context;
    const weight = this.#adaptiveWeight(
      reconstruction,
      [fidelity.gradient, generator?.gradient],
      replicas,
    );
    const { loss, upstream } = withoutGradients(() => {
      const own = add(fidelity.loss, mul(quantizerLoss, this.#options.quantizerWeight));
      if (generator === undefined) return { loss: own, upstream: fidelity.gradient };
      const share = mul(weight, this.#generatorShare(step));
      return {
        loss: add(own, mul(share, generator.loss)),
        upstream: add(fidelity.gradient, mul(share, generator.gradient)),
      };
    });
    const kept = [loss, weight, ...Object.values(fidelity.scalars)];
    for (const tensor of generator === undefined ? kept : [...kept, generator.loss]) {
      scope.keep(tensor);
    }
    // It has the same gradients as the loss: `upstream` is the gradient of the loss with respect to the reconstruction.
    const surrogate = add(
      sum(mul(reconstruction, upstream)),
      mul(quantizerLoss, this.#options.quantizerWeight),
    );
    const gradients = backward(surrogate, this.#update.parameters, { spent: scope });
    const measured = updateModel(model, pass, context, scope, (moves) => {
      this.#update.step(gradients, step, moves, replicas);
    });
    const rivalry = this.#trainDiscriminator(images, seen, context, step);
    this.codebook.add(replicas.sum(quantized.usage));
    for (const tensor of Object.values(rivalry)) scope.keep(tensor);
    return {
      ...{ loss, mse, quantizerLoss, ...measured, ...fidelity.scalars },
      generatorLoss: generator?.loss ?? scope.keep(full(device, [], 0)),
      adaptiveWeight: weight,
      ...rivalry,
    };
  }

  /** Reports the state of the codebook, the generator and the discriminator. */
  override async inspect(means: Scalars): Promise<Inspection> {
    const inspection = await super.inspect(means);
    const { discriminatorLoss, adaptiveWeight, logitsReal, logitsFake } = means;
    // Before the discriminator learns, it gives no logits.
    if (logitsReal === 0 && logitsFake === 0) return inspection;
    const words = `discriminator ${discriminatorLoss.toPrecision(3)}`;
    const logits = [logitsReal, logitsFake].map((logit) => logit.toFixed(2)).join(" and ");
    const warning = adaptiveWeight < DANGEROUS
      ? undefined
      : `the adaptive weight is ${
        adaptiveWeight.toPrecision(3)
      }: the adversarial term far outweighs the reconstruction loss, which is known to ruin reconstructions; ` +
        "--objective.discWarmupSteps lets the discriminator learn first, --objective.generatorRampSteps " +
        "ramps up its term slowly";
    return {
      ...inspection,
      phrases: [...inspection.phrases, [words, 3]],
      summary: [
        ...inspection.summary,
        `${words}, logits of real and fake ${logits}, adaptive weight ${
          adaptiveWeight.toPrecision(3)
        }`,
      ],
      ...warning !== undefined && { warning },
    };
  }

  /** Frees the memory of the state and of the perceptual term. */
  override dispose(): void {
    super.dispose();
    const { perceptual } = this.#options;
    if (perceptual !== "none") perceptual[Symbol.dispose]();
  }

  /** f: 0 while the generator's term is left out, 1 when it has its full weight. */
  #generatorShare(step: number): number {
    const { discStart, discWarmupSteps, generatorRampSteps } = this.#options;
    const taken = step - discStart - discWarmupSteps;
    return taken < 0 ? 0 : Math.min(1, (taken + 1) / (generatorRampSteps + 1));
  }

  /** nll, its gradient with respect to the reconstruction, and its parts. */
  #fidelity(seen: Tensor, images: Tensor) {
    const { pixelLoss, perceptual, perceptualWeight } = this.#options;
    using scope = images.device.scope();
    const pixels = { l1: meanAbsoluteError, l2: meanSquaredError }[pixelLoss](seen, images);
    const unlike = perceptual === "none" ? undefined : mean(perceptual.forward(seen, images));
    const loss = unlike === undefined ? pixels : add(pixels, mul(unlike, perceptualWeight));
    const scalars = { pixelLoss: pixels, ...unlike !== undefined && { perceptualLoss: unlike } };
    for (const tensor of [loss, ...Object.values(scalars)]) scope.keep(tensor);
    const [gradient] = backward(loss, [seen], { spent: scope });
    return { loss, scalars, gradient: scope.keep(gradient) };
  }

  /** g and its gradient with respect to the reconstruction; `undefined` while the term is left out. */
  #generator(seen: Tensor, context: Context, step: number) {
    if (this.#generatorShare(step) === 0) return undefined;
    using scope = seen.device.scope();
    using _frozen = freeze(this.discriminator);
    const logits = this.#discriminate(seen, context, 0);
    const loss = scope.keep(ADVERSARIAL_LOSSES[this.#options.discLoss].generator(logits));
    const [gradient] = backward(loss, [seen], { spent: scope });
    return { loss, gradient: scope.keep(gradient) };
  }

  /** The logits of images, augmented first if that is enabled.
   * @param part separates the random numbers of the calls in one step
   */
  #discriminate(images: Tensor, context: Context, part: number): Tensor {
    const seen = this.#options.discAugment
      ? augment(images, partKey(partKey(context.key, AUGMENTATION), part), context.replicas)
      : images;
    return this.discriminator.forward(seen, context);
  }

  /** λ, a scalar; 0 without a generator's term.
   * @param byFidelity the gradient of nll with respect to the reconstruction
   * @param byGenerator the gradient of g with respect to the reconstruction
   */
  #adaptiveWeight(
    reconstruction: Tensor,
    [byFidelity, byGenerator]: readonly [Tensor, Tensor | undefined],
    replicas: Replicas,
  ): Tensor {
    const { device } = reconstruction;
    if (byGenerator === undefined) return full(device, [], 0);
    using scope = device.scope();
    const byWeight = [byFidelity, byGenerator].map((gradient) =>
      backward(sum(mul(reconstruction, gradient)), [this.model.lastWeight])[0]
    );
    const [fidelity, generator] = averageOverRanks(byWeight, replicas)
      .map((gradient) => globalNorm([gradient]));
    return scope.keep(withoutGradients(() => {
      const ratio = clamp(div(fidelity, add(generator, EPSILON)), 0, MOST);
      return mul(ratio, this.#options.generatorWeight);
    }));
  }

  /** The discriminator's step and its scalars; zeros before the discriminator starts to learn. */
  #trainDiscriminator(images: Tensor, seen: Tensor, context: Context, step: number) {
    const { discLoss, discStart } = this.#options;
    const { device } = images;
    using scope = device.scope();
    if (step < discStart) {
      const zero = () => scope.keep(full(device, [], 0));
      return { discriminatorLoss: zero(), logitsReal: zero(), logitsFake: zero() };
    }
    device.phase("discriminator");
    const real = this.#discriminate(images, context, 1);
    const fake = this.#discriminate(detach(seen), context, 2);
    const loss = ADVERSARIAL_LOSSES[discLoss].discriminator(real, fake);
    const [logitsReal, logitsFake] = withoutGradients(() => [mean(real), mean(fake)]);
    for (const tensor of [loss, logitsReal, logitsFake]) scope.keep(tensor);
    const update = this.#discriminatorUpdate;
    const gradients = backward(loss, update.parameters, { spent: scope });
    withoutGradients(() => update.step(gradients, step, [], context.replicas));
    return { discriminatorLoss: loss, logitsReal, logitsFake };
  }
}
