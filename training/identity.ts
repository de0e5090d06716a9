/** What determines a run's result. */
import type { Config } from "./config.ts";

/** Settings that say where something lies or how it is read, and change nothing of it. */
const WHEREABOUTS: ReadonlySet<string> = new Set([
  "data.root",
  "data.path",
  "data.workers",
  "objective.weights",
]);

/** Where the shards of a set are: their names count, the folder does not. */
const SHARDS: ReadonlySet<string> = new Set(["data.train", "data.test"]);

/** The names of shards without the folders or addresses that they lie in. */
function withoutFolder(value: unknown): unknown {
  if (typeof value !== "string") return value;
  return value.split(",").map((path) => path.trim().split(/[\\/]/).at(-1)).join(",");
}

/** A configuration to be handed on: it names no folder of this machine, and opens the same run.
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

/** Settings that came later, and the value that they had before they could be chosen. At that value they are left away,
 * so that runs which were made before go on, and keep their names. */
const LATER: Readonly<Record<string, unknown>> = {
  "objective.type": "reconstruction",
  "objective.discAugment": false,
  "model.type": "vqvae",
  "training.averageDecay": null,
  "training.validation": 0,
};

/** What a run's checkpoints carry to say which run they are of, by configuration path: everything that determines
 * the parameters after a step.
 *
 * Not in it: the first stage, which the weights that it has stand for; where the run and its images are kept, how many
 * threads decode them, how often it reports, and the device with its libraries (the same run resumed on another device,
 * or with other libraries, goes on, but not bit for bit). The length
 * of the run is in it only where the learning rate's schedule depends on it, so that a run at a constant rate can be
 * trained for longer.
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

/** A short name of a run's result, the same wherever the run is kept and whatever computes it: the first 12 hexadecimal
 * digits of the SHA-256 of what determines its parameters, and of its length.
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
