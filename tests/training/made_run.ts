/** Runs for tests: a folder with only a configuration and a checkpoint, of a model as it is before the first step. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "fast-png";
import { randomKey } from "../../core/random.ts";
import { openDevice } from "../../core/device.ts";
import { constructAutoencoder } from "../../objectives/reconstruction_kind.ts";
import { saveCheckpoint } from "../../training/checkpoint.ts";
import type { Config } from "../../training/config.ts";
import { identityOf } from "../../training/identity.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { RunFolder } from "../../training/run_folder.ts";

/** The run that was committed. */
export const FIXTURE: string = fileURLToPath(
  new URL("../fixtures/run-before-objectives", import.meta.url),
);

/** Leaves a run of a small model in a folder.
 * @param quantizer settings of the quantiser
 * @param state entries of the checkpoint beside the model's
 */
export async function makeRun(
  path: string,
  quantizer: Readonly<Record<string, unknown>>,
  channels: number,
  state: "trained" | "averaged" = "trained",
): Promise<Config> {
  using device = await openDevice("reference");
  const training = state === "averaged" ? { averageDecay: 0.9 } : {};
  const config = resolveConfig({
    flags: { seed: 5, model: { hidden: 8, residualHidden: 4 }, quantizer, training },
  });
  const { seed, model } = config;
  using network = constructAutoencoder(device, {
    seed,
    model,
    quantizer: config.quantizer!,
    channels,
  });
  // Enlarged, so that the features of different images become different codes.
  const entries = [...await network.stateDictionary()].map(([name, { shape, values }]) => {
    const enlarged = /^encoder\..*weight$/.test(name) ? values.map((value) => 4 * value) : values;
    return [name, { shape, values: enlarged }] as const;
  });
  const averages = [...network.namedParameters().keys()].map((name) => {
    const { shape, values } = new Map(entries).get(name)!;
    return [`average.values.${name}`, { shape, values: values.map((value) => value / 2) }] as const;
  });
  const folder = new RunFolder(path);
  await folder.writeConfig(config);
  await Deno.mkdir(join(path, "checkpoints"));
  await saveCheckpoint(
    folder.checkpoint("last"),
    new Map([
      ...entries.map(([name, entry]) => [`model.${name}`, entry] as const),
      ...state === "averaged" ? averages : [],
    ]),
    { identity: identityOf(config), carried: null },
  );
  return config;
}

/** A PNG of noise in which neighbours are alike. */
export function noisePng(
  height: number,
  width: number,
  channels: 1 | 3,
  seed: number,
): Uint8Array<ArrayBuffer> {
  const key = randomKey(seed, "picture");
  const data = Uint8Array.from({ length: height * width * channels }, (_, at) => {
    const pixel = Math.floor(at / channels), y = Math.floor(pixel / width), x = pixel % width;
    const wave = Math.sin((x * (1 + seed % 5) + y * (2 + seed % 3)) / 4 + at % channels);
    return Math.round(127.5 + 100 * wave) + (key.seed + at) % 20;
  });
  return new Uint8Array(encode({ width, height, channels, data }));
}
