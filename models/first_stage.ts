/** A trained first stage for inference: images to codes and back, without gradients. */
import { withoutGradients } from "../core/execute.ts";
import type { RandomKey } from "../core/random.ts";
import { type Shape, showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import type { Autoencoder } from "./autoencoder.ts";

/** The result of `encode`. */
export interface Encoded {
  /** int32 `[B, h, w, ...codeAxes]`: the codes' indices; `[B, ...codeAxes]` if codes describe whole grids. */
  readonly indices: Tensor;
  /** float32 `[B, h, w, D]`: the features before quantisation. */
  readonly features: Tensor;
  /** float32 `[B, h, w, D]`: the codes that replace the features. */
  readonly codes: Tensor;
}

/** Encodes and decodes with a trained model. `decode(encode(images).indices)` equals `reconstruct(images)` bit for bit.
 *
 * ```ts
 * import { FirstStage, openDevice, randomKey, uniform, VanillaQuantizer, VQVAE } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const model = new FirstStage(network, key);
 * const images = uniform(device, [2, 8, 8, 1], key, -1, 1);
 * const { indices } = model.encode(images);
 * assert.deepEqual(indices.shape, [2, 2, 2]);
 * assert.deepEqual(await model.decode(indices).floats(), await model.reconstruct(images).floats());
 * ```
 */
export class FirstStage implements Disposable {
  /** The network. */
  readonly network: Autoencoder;
  readonly #key: RandomKey;

  /** Makes a first stage from a trained network.
   * @param key the key for random choices of the quantiser, if it makes any
   */
  constructor(network: Autoencoder, key: RandomKey) {
    this.network = network;
    this.#key = key;
  }

  /** How many times longer the side of an image is than the side of its grid of codes. */
  get downsampling(): number {
    return this.network.downsampling;
  }

  /** Channels of the images. */
  get channels(): number {
    return this.network.channels;
  }

  /** K: the number of codes. */
  get codebookSize(): number {
    return this.network.quantizer.codebookSize;
  }

  /** D: the length of a code. */
  get codebookDim(): number {
    return this.network.quantizer.codebookDim;
  }

  /** The additional axes of indices, after those of the grid: none if a position has one code. */
  get codeAxes(): Shape {
    return this.network.quantizer.codeAxes;
  }

  /** Rows and columns of the grid, if codes describe whole grids of one size. `undefined` if each position has its own
   * codes; then the grid can have any size. */
  get grid(): readonly [height: number, width: number] | undefined {
    return this.network.quantizer.grid;
  }

  /** The shape of the indices of a grid of features: `[h, w, ...codeAxes]`, or `codeAxes` if codes describe whole
   * grids. */
  codeShape(height: number, width: number): Shape {
    const { codeAxes, grid } = this;
    return grid === undefined ? [height, width, ...codeAxes] : codeAxes;
  }

  /** The number of codes that an index is chosen from: K, or the size of one codebook if there are several. */
  get choices(): number {
    return this.network.quantizer.choices;
  }

  /** Encodes images to codes.
   * @param images float32 `[B, H, W, C]` in [−1, 1]
   * @throws {TypeError} the images have another number of channels, or a side is not divisible by the downsampling
   */
  encode(images: Tensor): Encoded {
    return withoutGradients(() => {
      const features = this.features(images);
      const indices = this.quantize(features);
      return { indices, features, codes: this.network.quantizer.lookup(indices) };
    });
  }

  /** Encodes images to features without quantising them: float32 `[B, H, W, C]` → `[B, h, w, D]`.
   * @throws {TypeError} as `encode`
   */
  features(images: Tensor): Tensor {
    return withoutGradients(() => this.network.encode(images, this.#context));
  }

  /** Quantises features to the indices of their codes: float32 `[B, h, w, D]` → int32 `[B, h, w, ...codeAxes]`, or `[B,
   * ...codeAxes]` if codes describe whole grids. */
  quantize(features: Tensor): Tensor {
    return withoutGradients(() => this.network.quantizer.quantize(features, this.#context).indices);
  }

  /** Decodes codes to images.
   * @param indices int32 `[B, h, w, ...codeAxes]`, or `[B, ...codeAxes]` if codes describe whole grids
   * @returns float32 `[B, H, W, C]`, unbounded
   * @throws {TypeError} the indices have other axes
   * @throws {RangeError} an index has no code
   */
  decode(indices: Tensor): Tensor {
    const { codeAxes, grid } = this, { shape } = indices;
    const axes = ["B", ...grid === undefined ? ["h", "w"] : [], ...codeAxes];
    if (shape.length !== axes.length) {
      throw new TypeError(
        `Cannot decode: indices must be [${axes.join(", ")}], got shape ${showShape(shape)}`,
      );
    }
    return withoutGradients(() => this.decodeCodes(this.network.quantizer.lookup(indices)));
  }

  /** Decodes code vectors to images: float32 `[B, h, w, D]` → `[B, H, W, C]`. */
  decodeCodes(codes: Tensor): Tensor {
    return withoutGradients(() => this.network.decode(codes, this.#context));
  }

  /** Encodes images and decodes them again: float32 `[B, H, W, C]`.
   * @throws {TypeError} as `encode`
   */
  reconstruct(images: Tensor): Tensor {
    return this.decode(this.encode(images).indices);
  }

  get #context(): Context {
    return { training: false, key: this.#key };
  }

  /** Frees the network's memory. */
  [Symbol.dispose](): void {
    this.network.dispose();
  }
}
