/** Loads the page's trained models. */
import {
  CodeTransformer,
  type CodeTransformerOptions,
  createAutoencoder,
  createQuantizer,
  decodeSafetensors,
  type Device,
  DiffusionModel,
  FirstStage,
  LatentSpace,
  type LatentSpaceOptions,
  type ModelConfig,
  NoiseSchedule,
  type NoiseScheduleOptions,
  type Prediction,
  type QuantizerConfig,
  randomKey,
  type SafetensorsContents,
  UNet,
  type UNetOptions,
} from "@codebook/codebook/web";
import type { Turns } from "./device.ts";
import type { Diffusion } from "./step_by_step.ts";

/** For the initial weights, which loading overwrites. */
const KEY = randomKey(1, "page");

/** Receives the loading progress, from 0 to 1. */
export type OnShare = (share: number) => void;

/** Loads the first stage. */
export async function loadFirstStage(
  device: Device,
  turns: Turns,
  onShare: OnShare,
): Promise<FirstStage> {
  const contents = await load("stage1.safetensors", onShare);
  return await turns.take(() => Promise.resolve(makeFirstStage(device, contents)));
}

function makeFirstStage(device: Device, { tensors, metadata }: SafetensorsContents): FirstStage {
  const quantizer = createQuantizer(device, setting<QuantizerConfig>(metadata, "quantizer"), KEY);
  const needs = { quantizer, channels: setting<number>(metadata, "channels") };
  const network = createAutoencoder(device, needs, setting<ModelConfig>(metadata, "model"), KEY);
  network.loadStateDictionary(tensors);
  return new FirstStage(network, KEY);
}

/** Loads the transformer. */
export async function loadTransformer(
  device: Device,
  turns: Turns,
  onShare: OnShare,
): Promise<CodeTransformer> {
  const contents = await load("transformer.safetensors", onShare);
  return await turns.take(() => Promise.resolve(makeTransformer(device, contents)));
}

function makeTransformer(
  device: Device,
  { tensors, metadata }: SafetensorsContents,
): CodeTransformer {
  const options = setting<CodeTransformerOptions>(metadata, "transformer");
  const model = new CodeTransformer(device, { ...options, key: KEY });
  model.loadStateDictionary(tensors);
  return model;
}

/** Loads the latent diffusion. */
export async function loadDiffusion(
  device: Device,
  turns: Turns,
  onShare: OnShare,
): Promise<Diffusion> {
  const contents = await load("diffusion.safetensors", onShare);
  return await turns.take(() => Promise.resolve(makeDiffusion(device, contents)));
}

function makeDiffusion(device: Device, { tensors, metadata }: SafetensorsContents): Diffusion {
  const options = setting<UNetOptions>(metadata, "unet");
  const latents = new LatentSpace(device, setting<LatentSpaceOptions>(metadata, "latents"));
  const model = new DiffusionModel(new UNet(device, { ...options, key: KEY }), latents);
  model.loadStateDictionary(tensors);
  const schedule = new NoiseSchedule(setting<NoiseScheduleOptions>(metadata, "schedule"));
  return { model, schedule, prediction: setting<Prediction>(metadata, "prediction") };
}

function setting<T>(metadata: ReadonlyMap<string, string>, name: string): T {
  return JSON.parse(metadata.get(name)!);
}

async function load(name: string, onShare: OnShare): Promise<SafetensorsContents> {
  return decodeSafetensors(await fetchBytes(name, onShare), name);
}

/** Fetches a file of the page.
 * @throws {Error} the server cannot be reached or answers with an error
 */
async function fetchBytes(name: string, onShare: OnShare): Promise<Uint8Array> {
  const response = await fetch(new URL(name, document.baseURI)).catch((cause: Error) => {
    throw new Error(`${name} cannot be fetched: ${cause.message}`, { cause });
  });
  if (!response.ok || response.body === null) {
    throw new Error(`${name} cannot be fetched: the server answers ${response.status}`);
  }
  const size = Number(response.headers.get("content-length"));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let came = 0;
  for (const reader = response.body.getReader();;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    came += value.length;
    if (size > 0) onShare(Math.min(1, came / size));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
