/** A small VQ-VAE that trains in the page, with the library's quantisers and optimiser. */
import {
  Adam,
  add,
  backward,
  createQuantizer,
  type Device,
  meanSquaredError,
  type QuantizeContext,
  type Quantized,
  type Quantizer,
  type QuantizerConfig,
  type RandomKey,
  randomKey,
  type Tensor,
  Update,
  VQVAE,
  withoutGradients,
} from "@codebook/codebook/web";
import { PIXELS, SIDE } from "./pictures.ts";

/** K. */
export const CODES = 128;
/** D: two, so that features and codes can be plotted directly. */
const DIMENSIONS = 2;
const HIDDEN = 16;
const LEARNING_RATE = 1e-3;
/** Variance of the pixels on the [0, 1] scale. */
const VARIANCE = 0.094;

/** Results on a batch. */
export interface Look {
  /** How often each code was chosen, `[K]`. */
  readonly usage: Int32Array;
  /** The mean squared error of the reconstructions. */
  readonly error: number;
  /** The features in the space where distances to codes are measured, `[N, 2]`. */
  readonly features: Float32Array;
  /** The codes, `[K, 2]`. */
  readonly codes: Float32Array;
}

interface Encoded {
  readonly context: QuantizeContext;
  readonly images: Tensor;
  readonly features: Tensor;
}

interface Pass {
  readonly quantized: Quantized;
  readonly error: Tensor;
  readonly compared: Tensor;
  readonly codes: Tensor;
}

/** A model with its quantiser and its optimiser. */
export class Learner implements Disposable {
  readonly #device: Device;
  readonly #key: RandomKey;
  readonly #quantizer: Quantizer;
  readonly #model: VQVAE;
  readonly #optimizer: Adam;
  readonly #update: Update;
  #steps = 0;

  /** Creates the model.
   * @param settings of the quantiser, without its sizes
   * @param seed determines the initial weights and codes
   */
  constructor(device: Device, settings: QuantizerConfig, seed: number) {
    const key = randomKey(seed, "page");
    const sizes = { codebookSize: CODES, codebookDim: DIMENSIONS };
    this.#device = device;
    this.#key = key;
    this.#quantizer = createQuantizer(device, { ...settings, ...sizes }, key);
    this.#model = new VQVAE(device, this.#quantizer, {
      ...{ channels: 1, hidden: HIDDEN, residualHidden: HIDDEN / 2, residualLayers: 1, key },
    });
    this.#optimizer = new Adam(this.#model.namedParameters());
    this.#update = new Update(this.#model.parameters(), this.#optimizer, {
      learningRate: () => LEARNING_RATE,
    });
  }

  /** Evaluates a batch of digits `[B, 28, 28]` without training. */
  async look(batch: Float32Array<ArrayBuffer>): Promise<Look> {
    using _scope = this.#device.scope();
    return await read(withoutGradients(() => this.#quantize(this.#encode(batch))));
  }

  /** Trains on a batch of digits `[B, 28, 28]`. */
  async step(batch: Float32Array<ArrayBuffer>): Promise<Look> {
    using _scope = this.#device.scope();
    const encoded = this.#encode(batch), { features, context } = encoded;
    this.#quantizer.begin(features, context);
    const pass = this.#quantize(encoded), { quantized } = pass;
    const fidelity = this.#quantizer.reconstructionLoss(pass.error, {
      variance: VARIANCE,
      imageSize: PIXELS,
    });
    const loss = Object.values(quantized.losses).reduce(add, fidelity);
    const gradients = backward(loss, this.#update.parameters);
    withoutGradients(() => {
      const moves = this.#quantizer.update({ features, ...quantized }, context);
      this.#update.step(gradients, this.#steps, moves.filter(({ forgets }) => forgets));
    });
    this.#steps++;
    return await read(pass);
  }

  /** Reconstructs digits `[B, 28, 28]`. */
  async rebuild(digits: Float32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> {
    using _scope = this.#device.scope();
    const images = this.#device.tensor(digits, [digits.length / PIXELS, SIDE, SIDE, 1]);
    const { reconstruction } = withoutGradients(() =>
      this.#model.forward(images, { training: false, key: this.#key })
    );
    return await reconstruction.floats();
  }

  #encode(batch: Float32Array<ArrayBuffer>): Encoded {
    const context = { training: true, key: { ...this.#key, step: this.#steps } };
    const images = this.#device.tensor(batch, [batch.length / PIXELS, SIDE, SIDE, 1]);
    return { context, images, features: this.#model.encode(images) };
  }

  #quantize({ context, images, features }: Encoded): Pass {
    const { reconstruction, quantized } = this.#model.rebuild(features, context);
    return {
      quantized,
      error: meanSquaredError(reconstruction, images),
      compared: withoutGradients(() => this.#quantizer.compared(features, context)),
      codes: this.#quantizer.codes()!,
    };
  }

  [Symbol.dispose](): void {
    this.#model.dispose();
    this.#optimizer.dispose();
  }
}

/** Reads the results back from the device. */
async function read({ quantized, error, compared, codes }: Pass): Promise<Look> {
  return {
    usage: await quantized.usage.integers(),
    error: await error.item(),
    features: await compared.floats(),
    codes: await codes.floats(),
  };
}
