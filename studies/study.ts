/** The definition of a study: which runs are compared. */
import * as z from "zod";
import { showSetting } from "../settings/settings.ts";
import type { Settings } from "../training/presets.ts";
import { type Measure, MEASURES } from "./measures.ts";

/** A value that a setting can have. */
export type SettingValue = boolean | number | string | null | readonly number[];

/** An axis whose points are values of one setting. */
export interface PathAxis {
  /** The setting, as a configuration path: `quantizer.codebookSize`. */
  readonly path: string;
  /** Its values. */
  readonly values: readonly SettingValue[];
}

/** An axis whose points are several settings together. */
export interface SettingsAxis {
  /** Its name in tables. */
  readonly name: string;
  /** The settings of every point, by the point's name. For a generator, its sampling settings are among them, as
   * `sampling`. */
  readonly values: Readonly<Record<string, Settings>>;
}

/** The names of a study's sizes: a quick trial, an afternoon, the presets' own width, the paper's own settings. */
export const SCALES = ["smoke", "small", "full", "paper"] as const;

/** A size of a study. */
export type ScaleName = typeof SCALES[number];

/** The changes that a size makes to a study. */
export interface Scale {
  /** Settings that override the study's own. */
  readonly settings?: Settings;
  /** The seeds that replace the study's own. */
  readonly seeds?: readonly number[];
  /** The number of samples that replaces the study's own. */
  readonly samples?: number;
}

/** A study compares every combination of the axes' points, with every seed. Plain JSON. */
export interface Study {
  /** Its name: lower-case letters, digits and dashes. */
  readonly name: string;
  /** The question that it answers, in one sentence. */
  readonly about?: string;
  /** The settings that all runs have in common, which may include a preset and, for generators, `sampling`: how the
   * evaluation samples them. */
  readonly base?: Settings;
  /** The axes on which the runs differ. */
  readonly axes: readonly (PathAxis | SettingsAxis)[];
  /** Every combination is run with each of these seeds; by default with 42. */
  readonly seeds?: readonly number[];
  /** The study of its first stages. Each combination of that study is a point on an axis of this one, and a run uses
   * the first stage with the same seed. Only pairs are run whose objective takes the codes of the first stage. The study
   * may also have runs without a first stage. */
  readonly stage1?: Study;
  /** The number of images that each generator samples for its evaluation; by default as many as the test set has. */
  readonly samples?: number;
  /** The columns of the table; by default usage, perplexity, mse and seconds per step. */
  readonly measure?: readonly Measure[];
  /** Its sizes. */
  readonly scales?: Readonly<Partial<Record<ScaleName, Scale>>>;
}

// The error of each is what it must be.
const settings = z.record(z.string(), z.unknown(), { error: "an object of settings" });
const seed = z.int({ error: "an integer" }).min(0, { error: "at least 0" });
const seeds = z.array(seed, { error: "a list of seeds" }).min(1, { error: "a list with a seed" });
const value = z.union([
  z.boolean(),
  z.number(),
  z.string(),
  z.null(),
  z.array(z.number()).min(1),
]);
const axis = z.union([
  z.strictObject({ path: z.string().min(1), values: z.array(value).min(1) }),
  z.strictObject({
    name: z.string().min(1),
    values: z.record(z.string(), settings).refine((points) => Object.keys(points).length > 0),
  }),
], { error: "a path with a list of values, or a name with settings by name" });
const samples = z.int({ error: "a whole number" }).min(1, { error: "at least 1" });
const scale = z.strictObject({
  settings: settings.optional(),
  seeds: seeds.optional(),
  samples: samples.optional(),
}, { error: "an object of settings, seeds and samples" });
const measure = z.enum(MEASURES, { error: `one of ${MEASURES.join(", ")}` });

const NAME = "a text of lower-case letters, digits and dashes";

const SCHEMA: z.ZodType<Study> = z.strictObject({
  name: z.string({ error: NAME }).regex(/^[a-z0-9][a-z0-9-]*$/, { error: NAME }),
  about: z.string({ error: "a text" }).optional(),
  base: settings.optional(),
  axes: z.array(axis, { error: "a list of axes" }).min(1, { error: "a list with an axis" }),
  seeds: seeds.optional(),
  stage1: z.lazy(() => SCHEMA).optional(),
  samples: samples.optional(),
  measure: z.array(measure, { error: "a list of measures" })
    .min(1, { error: "a list with a measure" }).optional(),
  scales: z.partialRecord(z.enum(SCALES), scale, {
    error: `an object of scales by name, ${SCALES.join(", ")}`,
  }).optional(),
}, { error: "an object with a name and axes" });

/** Validates the form of a study. `planRuns` checks that its settings exist and that their values are allowed.
 *
 * ```ts
 * import { readStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const axes = [{ path: "quantizer.codebookSize", values: [32, 64] }];
 * assert.equal(readStudy({ name: "sizes", axes }).axes.length, 1);
 * assert.throws(() => readStudy({ name: "sizes", axes: [{ path: "seed" }] }), /axes\[0\] must be a path/);
 * ```
 * @throws {RangeError} a part is missing, unknown or invalid
 */
export function readStudy(given: unknown): Study {
  const { error, data } = SCHEMA.safeParse(given);
  if (error === undefined) return data;
  const [issue] = error.issues;
  const place =
    issue.path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`)
      .join("").replace(/^\./, "") || "it";
  const [requirement, actual] = issue.code === "unrecognized_keys"
    ? ["hold only what studies have", issue.keys[0]]
    : [`be ${issue.message}`, issue.path.reduce<unknown>(within, given)];
  throw new RangeError(
    `Cannot read the study: ${place} must ${requirement}, got ${showSetting(actual)}`,
  );
}

function within(parent: unknown, part: PropertyKey): unknown {
  return (parent as Readonly<Record<PropertyKey, unknown>>)[part];
}
