/** Checkpoints: the whole state of a run in one safetensors file. */
import { parseJson } from "../files/bounded_json.ts";
import { readSafetensors, writeSafetensors } from "../files/safetensors.ts";
import type { SafetensorsContents } from "../files/safetensors_bytes.ts";
import type { StateDictionary } from "../nn/module.ts";

const FORMAT = "codebook checkpoint 1";

/** The header of a checkpoint: what it stores besides the state. */
export interface CheckpointHeader {
  /** The settings that determine the run's result, by configuration path. A checkpoint can only be resumed by a run
   * with the same settings. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Sums and records that the run carries from step to step, as JSON values. */
  readonly carried: unknown;
}

/** Writes a state and its header atomically: if the process is killed, either the old file or the new one is there. The
 * same state gives the same bytes.
 * @throws {Error} the file cannot be written
 */
export async function saveCheckpoint(
  path: string,
  state: StateDictionary,
  { identity, carried }: CheckpointHeader,
): Promise<void> {
  const metadata = new Map([
    ["format", FORMAT],
    ["identity", JSON.stringify(identity)],
    ["carried", JSON.stringify(carried)],
  ]);
  await writeSafetensors(path, state, metadata);
}

/** A checkpoint that was read and validated. */
export interface Checkpoint extends CheckpointHeader {
  /** The state, by name. */
  readonly state: SafetensorsContents["tensors"];
}

/** Reads a checkpoint.
 * @throws {Error} there is no such file
 * @throws {RangeError} the file is truncated, is not a safetensors file, or is not a checkpoint of this program
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata.get("format") !== FORMAT) {
    throw new RangeError(
      `Cannot load ${path}: it must be a "${FORMAT}", got a safetensors file whose format is ${
        metadata.get("format") ?? "not named"
      }`,
    );
  }
  const parse = (name: string) => {
    try {
      return parseJson(metadata.get(name) ?? "", path);
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new RangeError(`Cannot load ${path}: its ${name} must be JSON, got ${reason}`, {
        cause,
      });
    }
  };
  return { state: tensors, identity: parse("identity"), carried: parse("carried") };
}

/** The entries of a checkpoint that belong to the objective: all except those of the training loop. */
export function stateOfObjective(state: StateDictionary): StateDictionary {
  return new Map([...state].filter(([name]) => !isOfLoop(name)));
}

/** Whether an entry of a checkpoint belongs to the training loop. */
export function isOfLoop(name: string): boolean {
  return name === "step" || name.startsWith("average.");
}

/** Rejects a checkpoint of another configuration. The error names the first setting that differs.
 * @throws {RangeError} a setting differs
 */
export function checkIdentity(
  path: string,
  saved: CheckpointHeader["identity"],
  wanted: CheckpointHeader["identity"],
): void {
  for (const name of new Set([...Object.keys(wanted), ...Object.keys(saved)])) {
    const [before, now] = [saved, wanted].map((identity) => JSON.stringify(identity[name]));
    if (before !== now) {
      throw new RangeError(
        `Cannot load ${path}: ${name} must be what the checkpoint was made with, ${
          before ?? "not set"
        }, got ${now ?? "nothing"}`,
      );
    }
  }
}

/** Rejects a checkpoint whose model contains NaN or infinity. The error names the parameter.
 * @throws {RangeError} a parameter has such a value
 */
export function checkFinite(path: string, { state }: Checkpoint): void {
  for (const [name, { values }] of state) {
    if (!/^(?:model|average\.values)\./.test(name)) continue;
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      throw new RangeError(
        `Cannot measure ${path}: the parameter ${name.replace("model.", "")} must be finite, got ${
          values[at]
        } at element ${at} of ${values.length}`,
      );
    }
  }
}
