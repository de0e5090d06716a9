/** Detects settings that belong to another quantiser, model, objective or data set than the one chosen. */
import { DEFAULT_QUANTIZER, isComposite } from "../quantizers/registry.ts";
import { CHOICE_SECTIONS } from "./config.ts";
import type { Settings } from "./presets.ts";

/** Rejects a setting that only other choices have. The error names those choices.
 *
 * ```ts
 * import { refuseForeignSettings } from "./foreign_settings.ts";
 * import assert from "node:assert/strict";
 * assert.throws(
 *   () => refuseForeignSettings({ type: "vanilla", levels: [8, 1] }, "quantizer"),
 *   /there is no setting quantizer\.levels where quantizer\.type is vanilla, only where it is fsq$/,
 * );
 * ```
 * @param settings a section of a configuration; the schema checks everything else in it
 * @param section the name of the section
 * @param path the path of the section; for a quantiser inside another it differs from the name
 * @throws {RangeError} the section has such a setting
 */
export function refuseForeignSettings(settings: Settings, section: string, path = section): void {
  const { by, choices, defaults } = CHOICE_SECTIONS[section];
  const { [by]: choice = section === "quantizer" ? DEFAULT_QUANTIZER : choices[0], inner } =
    settings;
  if (typeof choice !== "string" || !choices.includes(choice)) return;
  const has = (other: string, name: string) =>
    section === "quantizer" && name === "inner" ? isComposite(other) : defaults(other).has(name);
  for (const name of Object.keys(settings)) {
    if (name === by || has(choice, name)) continue;
    const owners = choices.filter((other) => has(other, name));
    if (owners.length === 0) continue;
    throw new RangeError(
      `Cannot read the configuration: there is no setting ${path}.${name} where ${path}.${by} is ${choice}, ` +
        `only where it is ${showChoice(owners)}`,
    );
  }
  if (typeof inner === "object" && inner !== null) {
    refuseForeignSettings(inner as Settings, section, `${path}.inner`);
  }
}

/** One name, or several with "or" before the last. */
function showChoice(names: readonly string[]): string {
  const last = names[names.length - 1];
  return names.length === 1 ? last : `${names.slice(0, -1).join(", ")} or ${last}`;
}
