/** Lists the settings of a configuration. */

/** All settings with their paths, in order.
 *
 * ```ts
 * import { flatSettings } from "./flat_settings.ts";
 * import assert from "node:assert/strict";
 * const settings = flatSettings({ seed: 7, model: { hidden: 8, chMult: [1, 2] } });
 * assert.deepEqual(settings, [["seed", 7], ["model.hidden", 8], ["model.chMult", [1, 2]]]);
 * ```
 */
export function flatSettings(
  config: unknown,
  path: string = "",
): readonly (readonly [path: string, value: unknown])[] {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    return [[path, config]];
  }
  return Object.entries(config).flatMap(([name, value]) =>
    flatSettings(value, path === "" ? name : `${path}.${name}`)
  );
}
