/** The settings of all ways to sample, as flags. */
import { OBJECTIVE_TYPES, objectiveKind, readSampling } from "../objectives/registry.ts";
import { type Setting, settingsOf } from "../settings/settings.ts";
import { asUsage } from "./fail.ts";

/** The sampling settings of all generators, once each. The description says which objectives have the setting. */
export function samplingSettings(): readonly Setting[] {
  const found = new Map<string, { readonly setting: Setting; readonly types: string[] }>();
  for (const type of OBJECTIVE_TYPES) {
    const { sampling } = objectiveKind(type);
    for (const setting of sampling === undefined ? [] : settingsOf(sampling)) {
      const known = found.get(setting.path) ?? { setting, types: [] };
      known.types.push(type);
      found.set(setting.path, known);
    }
  }
  return [...found.values()].map(({ setting, types }) => ({
    ...setting,
    description: `${setting.description}; with ${types.join(", ")}`,
  }));
}

/** Whether an objective trains a generator. */
export function isGenerator(type: string): boolean {
  return objectiveKind(type).sampling !== undefined;
}

/** The sampling settings for the run of an objective: those of the command line, over the objective's defaults.
 * @throws {UsageError} the objective trains no generator, or a setting is not one of its own
 */
export function samplingOf(
  type: string,
  given: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return asUsage(() => readSampling(type, given));
}
