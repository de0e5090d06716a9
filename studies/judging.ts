/** How the generators of a study are evaluated: after training, each generates images, which are measured. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { writeAtomically } from "../files/atomic_write.ts";
import { readSampling } from "../objectives/registry.ts";
import type { RecordedProtocol } from "../objectives/protocol.ts";
import type { Settings } from "../training/presets.ts";
import { DamagedFileError, jsonNumber, readJsonFile } from "../training/read_back.ts";

/** How a generator's run is evaluated. */
export interface Judging {
  /** The number of images it generates; null: as many as the test set has. */
  readonly samples: number | null;
  /** The sampling settings that the study sets; all others have their defaults. */
  readonly sampling: Settings;
}

/** The form of a recorded `Judging`. */
export const JUDGING: z.ZodType<Judging> = z.object({
  samples: z.int().min(1).nullable(),
  sampling: z.record(z.string(), z.unknown()).default({}),
});

const file = (folder: string) => join(folder, "judging.json");

/** Records in a run's folder that it is evaluated, and how. */
export async function writeJudging(
  folder: string,
  { samples, sampling }: Judging,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeAtomically(file(folder), `${JSON.stringify({ samples, sampling })}\n`);
}

/** Reads how the run in a folder is evaluated; undefined if it is not.
 * @throws {DamagedFileError} the file cannot be read
 */
export async function readJudging(folder: string): Promise<Judging | undefined> {
  return await readJsonFile(file(folder), JUDGING, "how a run is judged");
}

const EVALUATION = z.object({
  test: z.looseObject({ protocol: z.string(), bits: z.number().optional() }),
  secondsPerSample: z.number().positive(),
  sampling: z.record(z.string(), z.unknown()),
  measurements: z.array(z.object({
    metric: z.string(),
    value: jsonNumber.nullable(),
    protocol: z.string(),
  })),
  protocols: z.record(z.string(), z.looseObject({})),
});

/** The evaluation of a generator. */
export interface Judgement {
  /** The hash of the part of the protocol that comparable numbers share: everything except the sampling of the
   * generator. */
  readonly hash: string;
  /** That protocol. */
  readonly protocol: RecordedProtocol;
  /** The numbers. */
  readonly measured: Readonly<Record<"fid" | "bits" | "secondsPerSample", number | null>>;
}

/** The sampling that an evaluation must have. */
export interface WantedSampling {
  /** The run's objective. */
  readonly type: string;
  /** The sampling settings that the study sets; all others must have their defaults. */
  readonly sampling: Settings;
}

/** Reads the evaluation of a generator's run; undefined if it has not been evaluated, or was sampled in another way.
 * @param wanted the sampling that it must have; by default any
 * @throws {DamagedFileError} the file cannot be read
 */
export async function readJudgement(
  folder: string,
  wanted?: WantedSampling,
): Promise<Judgement | undefined> {
  const path = join(folder, "evaluation.json");
  const evaluation = await readJsonFile(path, EVALUATION, "the evaluation of a generator");
  if (evaluation === undefined) return undefined;
  const { test, measurements, protocols, secondsPerSample, sampling } = evaluation;
  if (wanted !== undefined && !isSampledSo(sampling, wanted)) return undefined;
  const fid = measurements.find(({ metric }) => metric === "fid");
  const own = protocols[fid?.protocol ?? test.protocol];
  if (own === undefined) {
    throw new DamagedFileError(path, "it must hold the protocol of its numbers", "none");
  }
  const { sampling: _, ...protocol } = own;
  const text = JSON.stringify(protocol);
  return {
    hash: createHash("sha256").update(text).digest("hex").slice(0, 12),
    protocol: protocol as unknown as RecordedProtocol,
    measured: { fid: fid?.value ?? null, bits: test.bits ?? null, secondsPerSample },
  };
}

/** Whether recorded sampling settings are those that a study wants. Settings that did not exist yet had their defaults. */
function isSampledSo(
  used: Readonly<Record<string, unknown>>,
  { type, sampling }: WantedSampling,
): boolean {
  const whole = readSampling(type, sampling);
  return Object.keys({ ...sampling, ...used })
    .every((name) => isDeepStrictEqual(used[name], whole[name]));
}
