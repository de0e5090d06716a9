/** Adversarial training in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { Lpips, LPIPS_NETWORKS, type LpipsNetwork } from "../metrics/lpips.ts";
import { Discriminator } from "../models/discriminator.ts";
import { AUTOENCODERS } from "../models/registry.ts";
import {
  ADVERSARIAL_DEFAULTS,
  AdversarialObjective,
  type AdversarialWeights,
  type Perceptual,
} from "./adversarial.ts";
import type { ObjectiveKind } from "./kind.ts";
import { decaysIn } from "./first_stage.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";
import { constructFor } from "./reconstruction_kind.ts";

/** The settings of adversarial training in a configuration. */
export interface AdversarialSettings extends AdversarialWeights {
  /** The network whose features LPIPS compares, or none. */
  readonly perceptual: LpipsNetwork | "none";
  /** The folder of LPIPS's weights. */
  readonly weights: string | null;
  /** How many convolutions of the discriminator halve the side. */
  readonly discLayers: number;
  /** Channels after the discriminator's first convolution. */
  readonly discChannels: number;
}

const count = () => z.int().min(0);
const weight = () => z.number().min(0);

/** Loads the perceptual term.
 * @param blank whether to use zeros instead of the weights
 * @throws {Error} there are no weights
 */
async function loadPerceptual(
  device: Device,
  { perceptual, weights }: AdversarialSettings,
  blank: boolean,
): Promise<Perceptual | "none"> {
  if (perceptual === "none") return "none";
  if (blank) return Lpips.blank(device, perceptual);
  if (weights !== null) return await Lpips.load(device, perceptual, weights);
  throw new RangeError(
    "Cannot make the perceptual term: --objective.weights must name the folder of LPIPS's weights, got none; " +
      "--objective.perceptual none leaves the term out",
  );
}

/** Adversarial training, with an autoencoder, a discriminator, and an optimiser for each. */
export const adversarialKind: ObjectiveKind<AdversarialSettings> = {
  description:
    "reconstruct images that look real: a pixel loss, a perceptual loss, a discriminator, and the quantiser's losses",
  schema: z.strictObject({
    pixelLoss: z.enum(["l1", "l2"]).default(ADVERSARIAL_DEFAULTS.pixelLoss)
      .describe("the pixel loss: the absolute difference (l1) or the squared difference (l2)"),
    perceptual: z.enum(["none", ...LPIPS_NETWORKS]).default("vgg")
      .describe("the network whose features LPIPS compares; none omits the perceptual term"),
    weights: z.string().min(1).nullable().default(null)
      .describe("the folder of LPIPS's weights"),
    perceptualWeight: weight().default(ADVERSARIAL_DEFAULTS.perceptualWeight)
      .describe("the weight of the perceptual term"),
    generatorWeight: weight().default(ADVERSARIAL_DEFAULTS.generatorWeight)
      .describe("the weight of the generator's term; it multiplies the adaptive weight"),
    quantizerWeight: weight().default(ADVERSARIAL_DEFAULTS.quantizerWeight)
      .describe("the weight of the quantiser's losses"),
    discLoss: z.enum(["hinge", "non-saturating"]).default(ADVERSARIAL_DEFAULTS.discLoss)
      .describe("the losses of the generator and the discriminator"),
    discStart: count().default(ADVERSARIAL_DEFAULTS.discStart)
      .describe("the step, counted from 0, at which the discriminator starts to learn"),
    discWarmupSteps: count().default(ADVERSARIAL_DEFAULTS.discWarmupSteps)
      .describe(
        "the number of steps that the discriminator learns before the generator's term is added",
      ),
    generatorRampSteps: count().default(ADVERSARIAL_DEFAULTS.generatorRampSteps)
      .describe(
        "the number of steps over which the generator's term then grows to its full weight",
      ),
    discAugment: z.boolean().default(ADVERSARIAL_DEFAULTS.discAugment).describe(
      "augments the images that the discriminator sees (DiffAugment: colours, shifts, cutouts); for small data sets",
    ),
    discLayers: z.int().min(1).default(3)
      .describe(
        "the number of strided convolutions of the discriminator, each of which halves the side",
      ),
    discChannels: z.int().min(1).default(64)
      .describe("channels after the discriminator's first convolution"),
  }),
  models: AUTOENCODERS,
  quantizes: true,
  stage1: "none",
  async make(device, needs) {
    const { seed, dataset, settings, quantizer, optimizer, steps, stepsPerEpoch } = needs;
    const { discLayers: layers, discChannels: width } = settings;
    const [height, side, channels] = dataset.imageShape;
    const least = Discriminator.leastSide(layers);
    if (Math.min(height, side) < least) {
      throw new RangeError(
        `Cannot make a discriminator of ${layers} layers: the images' sides must be at least ${least}, ` +
          `got ${height}×${side}; --objective.discLayers chooses fewer`,
      );
    }
    const perceptual = await loadPerceptual(device, settings, needs.blank ?? false);
    const model = constructFor(device, needs, dataset);
    const key = randomKey(seed, "initial discriminator");
    const discriminator = new Discriminator(device, { channels, width, layers, key });
    return new AdversarialObjective(device, {
      ...settings,
      model,
      optimizer: constructOptimizer(optimizer, model.namedParameters(), decaysIn(model)),
      discriminator,
      discriminatorOptimizer: constructOptimizer(optimizer, discriminator.namedParameters()),
      perceptual,
      dataset,
      stepsPerEpoch,
      quantizer,
      learningRate: constructLearningRate(optimizer, steps),
      clipNorm: optimizer.clipNorm ?? undefined,
    });
  },
};
