/** Opens a trained run, to encode images to codes and decode them in a few lines of code. */
import { createHash } from "node:crypto";
import { randomKey } from "../core/random.ts";
import { Device } from "../core/tensor.ts";
import { FirstStage } from "../models/first_stage.ts";
import type { StateDictionary } from "../nn/module.ts";
import { constructAutoencoder } from "../objectives/reconstruction_kind.ts";
import { checkFinite, checkIdentity, readCheckpoint } from "./checkpoint.ts";
import { checkpointFile } from "./checkpoint_file.ts";
import type { Config } from "./config.ts";
import { type ModelWeights, quantizerOf, restoreModel, WEIGHTS } from "./construct.ts";
import { identityOf } from "./identity.ts";
import { resolveConfig } from "./resolve.ts";
import { RunFolder } from "./run_folder.ts";

/** Options of `openRun`: which weights to open. */
export interface OpenRunOptions {
  /** `last`, `best`, `weights`, or the path of a file; by default `last`, or `weights` if there is no other. */
  readonly checkpoint?: string;
  /** The trained weights or their averages; by default the averages if there are any. */
  readonly weights?: ModelWeights;
}

/** A trained run, opened as a first stage. */
export interface OpenedRun extends Disposable {
  /** The configuration of the run. */
  readonly config: Config;
  /** Encodes and decodes. */
  readonly model: FirstStage;
  /** Identifies the weights: the first 16 hexadecimal digits of their SHA-256. */
  readonly identity: string;
}

/** Opens a run's folder. A folder with only `config.json` and `checkpoints/last.safetensors` is enough, and so is one
 * that `deno task card` wrote, with `config.json` and `model.safetensors`.
 *
 * ```ts
 * import { openDevice, openRun } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * using run = await openRun("tests/fixtures/run-before-objectives", device);
 * const images = device.tensor(new Float32Array(28 * 28), [1, 28, 28, 1]);
 * const { indices } = run.model.encode(images);
 * assert.deepEqual(indices.shape, [1, 7, 7]);
 * ```
 * @throws {TypeError} an argument has the wrong type
 * @throws {Error} the folder holds no run, or a file cannot be read
 * @throws {RangeError} the run is of a generator, or the checkpoint is damaged or of another configuration
 */
export async function openRun(
  path: string,
  device: Device,
  { checkpoint: which = "last", weights = "auto" }: OpenRunOptions = {},
): Promise<OpenedRun> {
  checkArguments(path, device, which, weights);
  const folder = new RunFolder(path);
  if (await folder.state() === "empty") {
    throw new Error(`Cannot open ${path}: the folder must hold a run, got none`);
  }
  const config = resolveConfig({ saved: await folder.readConfig() });
  const file = await checkpointFile(folder, which);
  const checkpoint = await readCheckpoint(file);
  checkIdentity(file, checkpoint.identity, identityOf(config));
  checkFinite(file, checkpoint);
  const { seed, model } = config, quantizer = quantizerOf(config);
  const channels = imageChannels(file, checkpoint.state);
  const network = constructAutoencoder(device, { seed, model, quantizer, channels });
  try {
    restoreModel(network, checkpoint, weights);
    const stage = new FirstStage(network, randomKey(seed, "evaluation"));
    return {
      config,
      model: stage,
      identity: identityOfState(await network.stateDictionary()),
      [Symbol.dispose]: () => stage[Symbol.dispose](),
    };
  } catch (error) {
    network.dispose();
    throw error;
  }
}

function checkArguments(path: unknown, device: unknown, which: unknown, weights: unknown): void {
  if (typeof path !== "string") {
    throw new TypeError(`Cannot open a run: its folder must be a path, got ${typeof path}`);
  }
  if (!(device instanceof Device)) {
    throw new TypeError(
      `Cannot open ${path}: the second argument must be a device, as openDevice gives it, got ${typeof device}`,
    );
  }
  if (typeof which !== "string") {
    throw new TypeError(
      `Cannot open ${path}: checkpoint must be last, best or a path, got ${typeof which}`,
    );
  }
  if (!WEIGHTS.some((name) => name === weights)) {
    throw new RangeError(
      `Cannot open ${path}: weights must be one of ${WEIGHTS.join(", ")}, got ${weights}`,
    );
  }
}

/** The number of image channels: the input channels of the encoder's first convolution. */
function imageChannels(file: string, state: StateDictionary): number {
  for (const [name, { shape }] of state) {
    if (name.startsWith("model.encoder.") && shape.length === 4) return shape[2];
  }
  throw new RangeError(
    `Cannot load ${file}: the model must have an encoder of convolutions, got none`,
  );
}

/** Hashes the names, shapes and values of a state's entries. */
function identityOfState(state: StateDictionary): string {
  const hash = createHash("sha256");
  for (const [name, { shape, values }] of state) {
    hash.update(`${name} ${shape.join("x")}\n`);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}
