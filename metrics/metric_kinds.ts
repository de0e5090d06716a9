/** The table of all image metrics: the name of each, what it needs, and how it is opened. */
import type { Device } from "../core/tensor.ts";
import type { DigitClassifier } from "./digit_features.ts";
import {
  FeatureExtractor,
  FrechetMetric,
  KernelMetric,
  type LearntFeatures,
  ScoreMetric,
} from "./feature_metrics.ts";
import type { Gaussian } from "./feature_statistics.ts";
import type { FrechetScale } from "./frechet.ts";
import { type ImageMetric, MeanOverImages, type MetricDescription } from "./image_metric.ts";
import { type Images, imagesOn } from "./images.ts";
import { Lpips, LPIPS_FILES, type LpipsNetwork } from "./lpips.ts";
import { imageMae } from "./mae.ts";
import { imageMsSsim } from "./ms_ssim.ts";
import { imageMse } from "./mse.ts";
import { InceptionV3 } from "./networks/inception.ts";
import { toThreeChannels } from "./networks/layers.ts";
import { loadWeights, type WeightFile } from "./networks/weights.ts";
import { MeanPsnr, PsnrOfMeanError } from "./psnr_metrics.ts";
import { SHARPNESS, Sharpness } from "./sharpness.ts";
import { imageSsim, type SsimOptions } from "./ssim.ts";

/** The resources that metrics may need besides images. */
export interface MetricOptions {
  /** The device for networks. */
  readonly device: Device;
  /** The folder of weight files. */
  readonly weights: string | null;
  /** Statistics that replace those of the originals in FID, and their hash. */
  readonly reference?: { readonly gaussian: Gaussian; readonly hash: string };
  /** Trains the classifier for the digit features. */
  readonly digitClassifier: () => Promise<DigitClassifier>;
  /** Trains a classifier of the data set's own classes for the learnt features; undefined without a data set. */
  readonly learntFeatures?: () => Promise<LearntFeatures>;
}

/** One row of the table. */
export interface MetricKind {
  /** The metric's requirements, in words; empty for most metrics. */
  readonly needs: string;
  /** The name of a metric that is always measured with it, because the number alone is misleading. */
  readonly beside?: string;
  /** Opens the metric. */
  open(shared: SharedNetworks, options: MetricOptions): Promise<ImageMetric>;
}

/** The usual file names of FID's Inception network. */
export const INCEPTION_FILE: WeightFile = {
  network: "the Inception network of FID",
  names: ["inception-fid.safetensors", "pt_inception-2015-12-05-6726825d.pth"],
};

/** FID's Inception network and its features. */
export interface SharedInception {
  /** The network. */
  readonly network: InceptionV3;
  /** Computes its features. */
  readonly extractor: FeatureExtractor;
  /** The hash of its weights. */
  readonly hash: string;
}

/** A classifier of digits, and its features. */
export interface SharedDigits {
  /** Computes its features. */
  readonly extractor: FeatureExtractor;
  /** The hash of its weights. */
  readonly hash: string;
}

/** A classifier of a data set's own classes, and its features. */
export interface SharedLearnt extends SharedDigits {
  /** Reference points for Fréchet distances in its features. */
  readonly scale: FrechetScale;
}

/** Networks that several metrics share, loaded once. */
export class SharedNetworks implements Disposable {
  #inception: Promise<SharedInception> | undefined;
  #digits: Promise<SharedDigits> | undefined;
  #learnt: Promise<SharedLearnt> | undefined;
  readonly #owned: Disposable[] = [];

  /** The Inception network of FID, its features, and its weights' hash. */
  inception({ device, weights }: MetricOptions): Promise<SharedInception> {
    return this.#inception ??= (async () => {
      const loaded = await loadWeights(folderOf(weights, INCEPTION_FILE), INCEPTION_FILE);
      const network = this.own(new InceptionV3(device, loaded));
      const extractor = new FeatureExtractor(device, {
        dimensions: InceptionV3.features,
        forward: (images) => network.forward(toThreeChannels(images, "take Inception's features")),
      });
      return { network, extractor, hash: loaded.hash };
    })();
  }

  /** The features of the classifier of digits, which is trained first, and its weights' hash. */
  digits({ device, digitClassifier }: MetricOptions): Promise<SharedDigits> {
    return this.#digits ??= (async () => {
      const classifier = this.own(await digitClassifier());
      const extractor = new FeatureExtractor(device, classifier);
      return { extractor, hash: await classifier.hash() };
    })();
  }

  /** The features of a classifier of the data set's own classes, which is trained first, and its weights' hash. */
  learnt({ device, learntFeatures }: MetricOptions): Promise<SharedLearnt> {
    return this.#learnt ??= (async () => {
      if (learntFeatures === undefined) {
        throw new Error(
          "Cannot learn features: a run on a data set with classes is needed, got none",
        );
      }
      const { classifier, scale } = await learntFeatures();
      const extractor = new FeatureExtractor(device, this.own(classifier));
      return { extractor, hash: await classifier.hash(), scale };
    })();
  }

  /** Takes ownership of a resource until the metrics are disposed of. */
  own<T extends Disposable>(one: T): T {
    this.#owned.push(one);
    return one;
  }

  /** Frees the networks. */
  [Symbol.dispose](): void {
    for (const one of this.#owned) one[Symbol.dispose]();
  }
}

function folderOf(weights: string | null, { network, names }: WeightFile): string {
  if (weights !== null) return weights;
  throw new Error(
    `Cannot load ${network}: --metrics.weights must name the folder that holds ${
      names.join(" or ")
    }, got none`,
  );
}

/** A metric that is a function of each pair, on the host. */
function perImage(
  description: MetricDescription,
  measure: (originals: Images, reconstructions: Images) => ArrayLike<number>,
): MetricKind {
  return {
    needs: "nothing",
    open: () =>
      Promise.resolve(
        new MeanOverImages(description, (a, b) => Promise.resolve(measure(a, b))),
      ),
  };
}

function lpips(network: LpipsNetwork, name: string): MetricKind {
  const files = LPIPS_FILES[network];
  return {
    needs: files.map(({ names }) => names.join(" or ")).join(", and "),
    async open(_shared, { device, weights }) {
      const metric = await Lpips.load(device, network, folderOf(weights, files[0]));
      const description: MetricDescription = {
        name,
        definition: `LPIPS 0.1 through ${files[0].network}, of values in [-1, 1]; mean over images`,
        better: "lower",
        decimals: 4,
        weights: metric.hash,
      };
      const measure = async (a: Images, b: Images) => {
        using _scope = device.scope();
        const [x, y] = [a, b].map((images) => imagesOn(device, images));
        return await metric.forward(x, y).floats();
      };
      return new MeanOverImages(description, measure, () => metric.dispose());
    },
  };
}

/** Rescales images from [−1, 1] to [0, 1], because structural similarity depends on the zero point. */
function toUnit({ values, shape }: Images): Images {
  return { values: values.map((value) => (value + 1) / 2), shape };
}

const UNIT_GAUSSIAN: SsimOptions = { dataRange: 1, weights: "gaussian", sampleCovariance: false };

const DIGIT_NEEDS = "grey images of 28x28; a classifier is trained first, in seconds";

const LEARNT_NEEDS =
  "a data set with classes; a classifier of them is trained first, in seconds for images of 32x32";

/** Every metric by name. To add one, add a file in this folder and a row here. */
export const METRIC_KINDS: ReadonlyMap<string, MetricKind> = new Map<string, MetricKind>([
  [
    "mse",
    perImage({
      name: "mse",
      definition: "mean squared error of values in [-1, 1]; mean over images",
      better: "lower",
      decimals: 5,
    }, imageMse),
  ],
  [
    "mae",
    perImage({
      name: "mae",
      definition: "mean absolute error of values in [-1, 1]; mean over images",
      better: "lower",
      decimals: 4,
    }, imageMae),
  ],
  ["psnr", {
    needs: "nothing",
    beside: "psnr-of-mse",
    open: () =>
      Promise.resolve(
        new MeanPsnr({
          name: "PSNR (dB)",
          definition:
            "10 log10(2^2 / mse) in dB of values in [-1, 1]; mean over the images that differ, infinite where none does",
          better: "higher",
          decimals: 2,
        }),
      ),
  }],
  ["psnr-of-mse", {
    needs: "nothing",
    open: () =>
      Promise.resolve(
        new PsnrOfMeanError({
          name: "PSNR of the mean mse (dB)",
          definition:
            "10 log10(2^2 / mse) in dB of values in [-1, 1], of the mean mse over images; infinite where it is 0",
          better: "higher",
          decimals: 2,
        }),
      ),
  }],
  [
    "ssim",
    perImage(
      {
        name: "SSIM",
        definition:
          "structural similarity, Gaussian window 11 with sigma 1.5, covariance over n, values in [0, 1]; " +
          "mean over windows within the image, channels, images",
        better: "higher",
        decimals: 4,
      },
      (a, b) => imageSsim(toUnit(a), toUnit(b), UNIT_GAUSSIAN),
    ),
  ],
  [
    "ssim-uniform",
    perImage({
      name: "SSIM (uniform 7)",
      definition:
        "structural similarity, uniform window 7, covariance over n - 1 (scikit-image's defaults), values in " +
        "[0, 1]; mean over windows within the image, channels, images",
      better: "higher",
      decimals: 4,
    }, (a, b) => imageSsim(toUnit(a), toUnit(b), { dataRange: 1 })),
  ],
  [
    "ms-ssim",
    perImage({
      name: "MS-SSIM",
      definition:
        "multi-scale structural similarity, five scales, Gaussian window 11 with sigma 1.5, values in [0, 1]; " +
        "mean over channels, images",
      better: "higher",
      decimals: 4,
    }, (a, b) => imageMsSsim(toUnit(a), toUnit(b), 1)),
  ],
  ["sharpness", {
    needs: "nothing",
    open: () => Promise.resolve(new Sharpness(SHARPNESS)),
  }],
  ["lpips", lpips("vgg", "LPIPS (VGG16)")],
  ["lpips-alex", lpips("alex", "LPIPS (AlexNet)")],
  ["lpips-squeeze", lpips("squeeze", "LPIPS (SqueezeNet)")],
  ["fid", {
    needs: INCEPTION_FILE.names.join(" or "),
    beside: "kid",
    async open(shared, options) {
      const { extractor, hash } = await shared.inception(options);
      const { reference } = options;
      const description: MetricDescription = {
        name: "FID",
        definition:
          "Frechet distance of 2048 Inception features (2015-12-05, as pytorch-fid) of images resized to " +
          `299x299, bilinear; covariances over n - 1; originals: ${
            reference === undefined ? "the images themselves" : `statistics ${reference.hash}`
          }`,
        better: "lower",
        decimals: 3,
        weights: hash,
      };
      return new FrechetMetric(description, extractor, { reference: reference?.gaussian });
    },
  }],
  ["kid", {
    needs: INCEPTION_FILE.names.join(" or "),
    async open(shared, options) {
      const { extractor, hash } = await shared.inception(options);
      return new KernelMetric({
        name: "KID",
        definition:
          "unbiased squared MMD with (x.y/2048 + 1)^3 of Inception features (2015-12-05); mean over 100 " +
          "subsets of at most 1000",
        better: "lower",
        decimals: 5,
        weights: hash,
      }, extractor);
    },
  }],
  ["inception-score", {
    needs: INCEPTION_FILE.names.join(" or "),
    async open(shared, options) {
      const { network, extractor, hash } = await shared.inception(options);
      return new ScoreMetric(
        {
          name: "Inception Score",
          definition:
            "exp of the mean KL of the reconstructions' classes (Inception 2015-12-05, 1008 logits without " +
            "bias); mean of 10 parts in order",
          better: "higher",
          decimals: 3,
          weights: hash,
        },
        extractor,
        (features) => network.logits(features),
      );
    },
  }],
  ["digit-fid", {
    needs: DIGIT_NEEDS,
    beside: "digit-kid",
    async open(shared, options) {
      const { extractor, hash } = await shared.digits(options);
      return new FrechetMetric({
        name: "FID (digit features)",
        definition:
          "Frechet distance of 64 features of a small classifier of digits, trained by this program; not FID",
        better: "lower",
        decimals: 4,
        weights: hash,
      }, extractor);
    },
  }],
  ["digit-kid", {
    needs: DIGIT_NEEDS,
    async open(shared, options) {
      const { extractor, hash } = await shared.digits(options);
      return new KernelMetric({
        name: "KID (digit features)",
        definition:
          "unbiased squared MMD with (x.y/64 + 1)^3 of 64 features of a small classifier of digits, trained by this " +
          "program; mean over 100 subsets of at most 1000; not KID",
        better: "lower",
        decimals: 5,
        weights: hash,
      }, extractor);
    },
  }],
  ["learnt-fid", {
    needs: LEARNT_NEEDS,
    beside: "learnt-kid",
    async open(shared, options) {
      const { extractor, hash, scale } = await shared.learnt(options);
      return new FrechetMetric(
        {
          name: "FID (learnt features)",
          definition:
            "Frechet distance of 64 features of a small classifier of the data set's classes, trained by this " +
            "program; not FID",
          better: "lower",
          decimals: 4,
          weights: hash,
        },
        extractor,
        { scale },
      );
    },
  }],
  ["learnt-kid", {
    needs: LEARNT_NEEDS,
    async open(shared, options) {
      const { extractor, hash } = await shared.learnt(options);
      return new KernelMetric({
        name: "KID (learnt features)",
        definition:
          "unbiased squared MMD with (x.y/64 + 1)^3 of 64 features of a small classifier of the data set's classes, " +
          "trained by this program; mean over 100 subsets of at most 1000; not KID",
        better: "lower",
        decimals: 5,
        weights: hash,
      }, extractor);
    },
  }],
]);
