/** The identity of a run: the settings that determine its result. */
import type { Config } from "./config.ts";

/** Settings that determine where something is stored or how it is read. They do not change the result. */
const WHEREABOUTS: ReadonlySet<string> = new Set([
  "data.root",
  "data.path",
  "data.workers",
  "objective.weights",
  "objective.cacheIn",
]);

/** The paths of a data set's shards. The names are part of the identity, the folder is not. */
const SHARDS: ReadonlySet<string> = new Set(["data.train", "data.test"]);

/** The names of shards, without their folders or addresses. */
function withoutFolder(value: unknown): unknown {
  if (typeof value !== "string") return value;
  return value.split(",").map((path) => path.trim().split(/[\\/]/).at(-1)).join(",");
}

/** Removes the folders of this machine from a configuration, so that it can be shared. It still opens the same run.
 *
 * ```ts
 * import { resolveConfig, withoutPlaces } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { out, seed } = withoutPlaces(resolveConfig({ flags: { out: "/home/me/runs/digits" } }));
 * assert.deepEqual([out, seed], ["digits", 42]);
 * ```
 */
export function withoutPlaces(config: Config): Config {
  const isPlace = (path: string) => path === "out" || WHEREABOUTS.has(path) || SHARDS.has(path);
  const strip = (value: unknown, path: string): unknown => {
    if (isPlace(path)) return withoutFolder(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map((
        [name, inner],
      ) => [name, strip(inner, path === "" ? name : `${path}.${name}`)]),
    );
  };
  return strip(config, "") as Config;
}

/** Settings that were added later, with the value that corresponds to earlier behaviour. A setting with that value is
 * left out, so that earlier runs can be resumed and keep their hashes. */
const LATER: Readonly<Record<string, unknown>> = {
  "objective.type": "reconstruction",
  "objective.discAugment": false,
  "objective.exchange": 0,
  "data.classes": null,
  "data.label": null,
  "data.vendor": "google",
  "model.type": "vqvae",
  "quantizer.dropout": 0,
  "quantizer.perturbation": 0,
  "quantizer.perturbationReach": 16,
  "training.averageDecay": null,
  "training.validation": 0,
};

/** The identity that a run's checkpoints store, by configuration path: all settings that determine the parameters after
 * a step.
 *
 * It leaves out the path of the first stage, which is identified by its weights; where the run and its images are
 * stored; the number of decoding threads; how often the run reports; and the device with its libraries. A run can be
 * resumed on another device or with other libraries, but the result is then not the same bit for bit. The length of the
 * run is included only if the learning rate schedule depends on it, so that a run with a constant rate can be trained
 * for longer.
 *
 * ```ts
 * import { identityOf, resolveConfig } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const identity = identityOf(resolveConfig({ flags: { training: { epochs: 20 } } }));
 * assert.equal(identity["model.hidden"], 128);
 * assert.equal(identity["training.epochs"], undefined);
 * ```
 */
export function identityOf(config: Config): Readonly<Record<string, unknown>> {
  const { seed, precision, data, objective, model, quantizer, optimizer, training } = config;
  const { epochs, maxSteps, batchSize, averageDecay, validation } = training;
  const length = optimizer.schedule === "constant" ? {} : { epochs, maxSteps };
  const sections = {
    ...{ data, objective, model, ...quantizer && { quantizer }, optimizer },
    training: { batchSize, averageDecay, validation, ...length },
  };
  const settings = Object.entries(sections).flatMap(([section, values]) =>
    Object.entries(values).map(([name, value]) => [`${section}.${name}`, value])
  );
  const determining = settings.map(([path, value]) =>
    [path, SHARDS.has(path as string) ? withoutFolder(value) : value] as const
  ).filter(([path, value]) => !WHEREABOUTS.has(path as string) && LATER[path as string] !== value);
  return Object.fromEntries([["seed", seed], ["precision", precision], ...determining]);
}

/** A short hash that identifies a run's result: the first 12 hexadecimal digits of the SHA-256 of the settings that
 * determine its parameters, and of its length. It does not depend on where the run is stored or on the device.
 *
 * ```ts
 * import { resolveConfig, runHash } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const [run, elsewhere] = [{}, { out: "elsewhere", device: "cpu" }].map((flags) => resolveConfig({ flags }));
 * assert.equal(await runHash(run), await runHash(elsewhere));
 * ```
 */
export async function runHash(config: Config): Promise<string> {
  const { epochs, maxSteps } = config.training;
  const { stage1 } = config;
  const below = stage1 === null ? {} : { stage1 };
  const text = JSON.stringify({ ...identityOf(config), ...below, epochs, maxSteps });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest, 0, 6).toHex();
}
