/** What the tests of the browser compute, there and in Deno. */
import {
  Adam,
  add,
  backward,
  createQuantizer,
  decodeSafetensors,
  type Device,
  type DeviceName,
  type DeviceOptions,
  encodeSafetensors,
  meanSquaredError,
  openDevice,
  type Quantized,
  type RandomKey,
  randomKey,
  type Tensor,
  uniform,
  VQVAE,
  withoutGradients,
} from "../../web.ts";

/** What a device computed. */
export interface Computed {
  /** What the device says of itself. */
  readonly device: string;
  /** The losses of two training steps. */
  readonly losses: readonly number[];
  /** The gradients of the first step, of all parameters one after another. */
  readonly gradients: readonly number[];
  /** The code of each place of the images' latent grids, by the model of the checkpoint. */
  readonly indices: readonly number[];
  /** The mean squared error of its reconstructions. */
  readonly mse: number;
  /** The bytes that a training step leaves in use. */
  readonly left: number;
}

const KEY = randomKey(42, "web");

function makeModel(device: Device): VQVAE {
  const sizes = { codebookSize: 16, codebookDim: 4 };
  const settings = { type: "clustered", ...sizes, normalization: "batch" } as const;
  const quantizer = createQuantizer(device, settings, KEY);
  return new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key: KEY });
}

function lossOf(model: VQVAE, images: Tensor, quantized: Quantized): Tensor {
  const reconstruction = model.decoder.forward(quantized.quantized);
  return Object.values(quantized.losses).reduce(add, meanSquaredError(reconstruction, images));
}

/** One step. */
function step(
  model: VQVAE,
  optimizer: Adam,
  images: Tensor,
  key: RandomKey,
): { readonly loss: Tensor; readonly gradients: readonly Tensor[] } {
  const context = { training: true, key };
  const features = model.encode(images);
  model.quantizer.begin(features, context);
  const quantized = model.quantizer.quantize(features, context);
  const loss = lossOf(model, images, quantized);
  const gradients = backward(loss, model.parameters());
  withoutGradients(() => {
    for (const { codes, share } of model.quantizer.update({ features, ...quantized }, context)) {
      optimizer.forget(codes, share);
    }
    optimizer.step(gradients, 1e-2);
  });
  return { loss, gradients };
}

/** How many bytes a step in a scope leaves in use. */
function bytesLeft(model: VQVAE, optimizer: Adam, images: Tensor): number {
  const { device } = images, before = device.liveBytes;
  {
    using _scope = device.scope();
    step(model, optimizer, images, KEY);
  }
  return device.liveBytes - before;
}

/** Training steps, and the evaluation of a checkpoint, on a device. */
export async function compute(
  name: DeviceName,
  checkpoint: Uint8Array<ArrayBuffer>,
  options: DeviceOptions = {},
): Promise<Computed> {
  using device = await openDevice(name, options);
  const images = uniform(device, [4, 12, 12, 1], KEY, -1, 1);
  using model = makeModel(device);
  const optimizer = new Adam(model.namedParameters());
  const first = step(model, optimizer, images, KEY);
  const second = step(model, optimizer, images, KEY);
  const values = await Promise.all(first.gradients.map((gradient) => gradient.floats()));
  const left = bytesLeft(model, optimizer, images);
  model.loadStateDictionary(decodeSafetensors(checkpoint, "the checkpoint").tensors);
  const { reconstruction, quantized } = model.forward(images, { training: false, key: KEY });
  return {
    device: device.description,
    losses: [await first.loss.item(), await second.loss.item()],
    gradients: values.flatMap((floats) => [...floats]),
    indices: [...await quantized.indices.integers()],
    mse: await meanSquaredError(reconstruction, images).item(),
    left,
  };
}

/** A checkpoint of the model after twenty steps, on the device `reference`. */
export async function trainCheckpoint(): Promise<Uint8Array<ArrayBuffer>> {
  using device = await openDevice("reference");
  using model = makeModel(device);
  const optimizer = new Adam(model.namedParameters());
  for (let at = 0; at < 20; at++) {
    using _scope = device.scope();
    const key = { ...KEY, step: at };
    step(model, optimizer, uniform(device, [4, 12, 12, 1], key, -1, 1), key);
  }
  return encodeSafetensors(await model.stateDictionary());
}
