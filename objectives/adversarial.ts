/** Adversarial training of a first stage, as VQGAN's (Esser et al. 2021, arXiv 2012.09841, 3.1 and eq. 7). */
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

/** How unlike two batches of images look: `[B, H, W, C]` twice → `[B]`, differentiable by both. `Lpips` is one. */
export interface Perceptual extends Disposable {
  /** Compares. */
  forward(a: Tensor, b: Tensor): Tensor;
}

/** The settings of the losses, as configurations hold them. */
export interface AdversarialWeights {
  /** What is taken of the difference of pixels: its magnitude or its square. */
  readonly pixelLoss: "l1" | "l2";
  /** w_p: of the perceptual term. */
  readonly perceptualWeight: number;
  /** Of the generator's term, times its adaptive weight. */
  readonly generatorWeight: number;
  /** w_q: of the quantiser's losses. */
  readonly quantizerWeight: number;
  /** The losses of both sides. */
  readonly discLoss: AdversarialLossName;
  /** The step, counted from 0, at which the discriminator begins to learn. */
  readonly discStart: number;
  /** Steps that the discriminator learns before the generator's term counts. */
  readonly discWarmupSteps: number;
  /** Steps over which the generator's term then grows to its weight. */
  readonly generatorRampSteps: number;
  /** Whether the inputs of the discriminator are augmented; see `augment`. */
  readonly discAugment: boolean;
}

/** What the objective is made of. */
export interface AdversarialOptions extends FirstStageOptions, Partial<AdversarialWeights> {
  /** Tells images from reconstructions. */
  readonly discriminator: Discriminator;
  /** Steps its parameters. */
  readonly discriminatorOptimizer: Optimizer;
  /** The perceptual term, which the objective disposes of; none leaves it out. */
  readonly perceptual: Perceptual | "none";
}

/** The weights that are meant where none are given; those of VQGAN but for the discriminator's start, which the length of
 * a run decides. */
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

/** Added to the norm that divides, and the greatest ratio of the norms. */
const EPSILON = 1e-4, MOST = 1e4;
/** Separates the random numbers of the augmentation from those of the quantiser. */
const AUGMENTATION = 101;
/** An adaptive weight from which on the discriminator is known to ruin reconstructions. */
const DANGEROUS = 25;

/** Minimises, for images x and their reconstructions x̂,
 *
 *     nll = mean(|x − x̂|) + w_p·mean(perceptual(x, x̂))
 *     nll + f·λ·g + w_q·(the quantiser's losses)    λ = w_g·clamp(‖∂nll/∂W‖/(‖∂g/∂W‖ + 1e−4), 0, 1e4)
 *
 * by the autoencoder, where g is the generator's loss and W the weight of the decoder's last convolution; λ is a number to
 * the gradient. Then the discriminator's loss on x and x̂, without a gradient by x̂, by the discriminator. A step is:
 * forward, the autoencoder's update, the discriminator's.
 *
 * f is 0 until the discriminator has learned for `discWarmupSteps` from `discStart` on, then grows to 1 over
 * `generatorRampSteps`. Where f is 0 the generator's term is not computed, and before `discStart` the discriminator is not
 * run: its optimiser's steps count from there.
 *
 * Differs from taming's code: x̂ of the discriminator's update is that of the forward pass, not one made anew with the
 * autoencoder's updated weights; the perceptual term is a mean over images, as there. A quantiser's own form of the
 * reconstruction loss (`sq`) has no part in it.
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
  /** Tells images from reconstructions. */
  readonly discriminator: Discriminator;
  /** Steps its parameters. */
  readonly discriminatorOptimizer: Optimizer;
  /** The names of the scalars: those of a reconstruction, the parts of both losses, λ, and the mean logits of x and x̂.
   * What is not computed in a step is 0. */
  readonly scalars: readonly string[];
  readonly #options: AdversarialOptions & AdversarialWeights;
  readonly #update: Update;
  readonly #discriminatorUpdate: Update;

  /** Takes up the networks and their optimisers. */
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

  /** Takes a step. */
  step(
    { images }: TrainingBatch,
    { step, ...context }: StepContext,
  ): Readonly<Record<string, Tensor>> {
    const { device } = images;
    const { model } = this;
    using scope = device.scope();
    const pass = forwardInTraining(model, images, context, scope);
    const { mse, quantizerLoss, reconstruction, quantized } = pass;
    // The losses of images end here: what they give is handed on to the model in one backward pass.
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
    // Its gradients are those of the loss: `upstream` is the loss's by the reconstruction.
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

  /** Says how the codebook and both players fare. */
  override async inspect(means: Scalars): Promise<Inspection> {
    const inspection = await super.inspect(means);
    const { discriminatorLoss, adaptiveWeight, logitsReal, logitsFake } = means;
    // Before it learns, there is no logit of it.
    if (logitsReal === 0 && logitsFake === 0) return inspection;
    const words = `discriminator ${discriminatorLoss.toPrecision(3)}`;
    const logits = [logitsReal, logitsFake].map((logit) => logit.toFixed(2)).join(" and ");
    const warning = adaptiveWeight < DANGEROUS
      ? undefined
      : `the adaptive weight is ${
        adaptiveWeight.toPrecision(3)
      }: the discriminator's term outweighs the images by far, which is known to ruin reconstructions; ` +
        "--objective.discWarmupSteps lets the discriminator learn first, --objective.generatorRampSteps " +
        "brings its term in slowly";
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

  /** Gives the memory of the whole state back, and that of the perceptual term. */
  override dispose(): void {
    super.dispose();
    const { perceptual } = this.#options;
    if (perceptual !== "none") perceptual[Symbol.dispose]();
  }

  /** Of f: 0 while the generator's term does not count, 1 when it has its whole weight. */
  #generatorShare(step: number): number {
    const { discStart, discWarmupSteps, generatorRampSteps } = this.#options;
    const taken = step - discStart - discWarmupSteps;
    return taken < 0 ? 0 : Math.min(1, (taken + 1) / (generatorRampSteps + 1));
  }

  /** nll, its gradient by the reconstruction, and its parts. */
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

  /** g and its gradient by the reconstruction; none while it does not count. */
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

  /** λ, a scalar; 0 where there is no generator's term.
   * @param byFidelity of nll by the reconstruction
   * @param byGenerator of g by the reconstruction
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

  /** The discriminator's step, and what it shows of it; zeros before it begins to learn. */
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
