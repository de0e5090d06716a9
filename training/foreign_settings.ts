/** Settings of a quantiser of another type than the one that is chosen. */
import { DEFAULT_QUANTIZER, isComposite, QUANTIZER_TYPES } from "../quantizers/registry.ts";
import { quantizerDefaults } from "./config.ts";
import type { Settings } from "./presets.ts";

/** Refuses a setting that only quantisers of other types have, and names those.
 *
 * ```ts
 * import { refuseForeignSettings } from "./foreign_settings.ts";
 * import assert from "node:assert/strict";
 * assert.throws(
 *   () => refuseForeignSettings({ type: "vanilla", levels: [8, 1] }),
 *   /there is no setting quantizer\.levels where quantizer\.type is vanilla, only where it is fsq$/,
 * );
 * ```
 * @param quantizer the configuration of a quantiser; what else is wrong with it is left to its schema
 * @param path of that configuration
 * @throws {RangeError} it has such a setting
 */
export function refuseForeignSettings(quantizer: Settings, path = "quantizer"): void {
  const { type = DEFAULT_QUANTIZER, inner } = quantizer;
  if (typeof type !== "string" || !QUANTIZER_TYPES.includes(type)) return;
  for (const name of Object.keys(quantizer)) {
    if (name === "type" || has(type, name)) continue;
    const owners = QUANTIZER_TYPES.filter((other) => has(other, name));
    if (owners.length === 0) continue;
    throw new RangeError(
      `Cannot read the configuration: there is no setting ${path}.${name} where ${path}.type is ${type}, ` +
        `only where it is ${showChoice(owners)}`,
    );
  }
  if (typeof inner === "object" && inner !== null) {
    refuseForeignSettings(inner as Settings, `${path}.inner`);
  }
}

function has(type: string, name: string): boolean {
  return name === "inner" ? isComposite(type) : quantizerDefaults(type).has(name);
}

/** One name, or several with "or" before the last. */
function showChoice(names: readonly string[]): string {
  const last = names[names.length - 1];
  return names.length === 1 ? last : `${names.slice(0, -1).join(", ")} or ${last}`;
}
