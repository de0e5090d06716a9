/** Restricts where settings may come from: a file must not contain settings that would run code or access the
 * network. */
import { isAbsolute, normalize } from "node:path";
import { showSetting } from "../settings/settings.ts";
import type { Config } from "./config.ts";
import type { Settings } from "./presets.ts";

/** A setting for which a file may give only some values. */
interface FileRule {
  /** The setting. */
  readonly path: string;
  /** Whether a file may give the value. */
  readonly allows: (value: unknown) => boolean;
  /** The requirement on a value from a file, and the reason. */
  readonly requirement: string;
}

const NO_PATH: ReadonlySet<unknown> = new Set(["auto", "off"]);

/** Values that refer to another machine: addresses, and Windows network shares. */
const ELSEWHERE = /:\/\/|(?:^|,)\s*(?:\/\/|\\\\)/;

const onThisMachine = (path: string): FileRule => ({
  path,
  allows: (value) => typeof value !== "string" || !ELSEWHERE.test(value),
  requirement:
    "a local path if it comes from a file, because the program would connect to an address",
});

const noPath = (path: string): FileRule => ({
  path,
  allows: (value) => NO_PATH.has(value),
  requirement:
    "auto or off if it comes from a file, because the library at a path would be executed",
});

const RULES: readonly FileRule[] = [
  ...["cpu.blas", "cpu.dnn"].map(noPath),
  ...["data.path", "data.root", "data.train", "data.test", "objective.weights"].map(onThisMachine),
];

/** Rejects values that only the command line, or the calling program, may give.
 * @param config all settings, from all sources
 * @param said the settings that the command line or the program gave
 * @throws {RangeError} such a value comes from a file
 */
export function checkOrigins(config: Config, said: Settings): void {
  for (const { path, allows, requirement } of RULES) {
    const value = at(config, path);
    if (allows(value) || at(said, path) === value) continue;
    throw new RangeError(
      `Cannot read the configuration: ${path} must be ${requirement}, got ${
        showSetting(value)
      }; give --${path} on the command line`,
    );
  }
}

/** Rejects a run's folder given in a settings file if it is outside the working folder.
 * @throws {RangeError} the folder is outside
 */
export function checkOut(out: string): void {
  if (!isAbsolute(out) && !/^\.\.(?:[\\/]|$)/.test(normalize(out))) return;
  throw new RangeError(
    "Cannot read the configuration: out must be within the working folder if it comes from a file, because files are written there, got " +
      `${showSetting(out)}; give --out on the command line`,
  );
}

/** The flags that must be given on the command line again to resume a run with its configuration, because a file must
 * not contain them.
 *
 * ```ts
 * import { flagsBesideFile } from "./origins.ts";
 * import { resolveConfig } from "./resolve.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(flagsBesideFile(resolveConfig()), []);
 * const config = resolveConfig({ flags: { cpu: { blas: "/opt/libmkl_rt.so" } } });
 * assert.deepEqual(flagsBesideFile(config), ["--cpu.blas=/opt/libmkl_rt.so"]);
 * ```
 */
export function flagsBesideFile(config: Config): readonly string[] {
  return RULES.flatMap(({ path, allows }) => {
    const value = at(config, path);
    return allows(value) ? [] : [`--${path}=${value}`];
  });
}

function at(settings: object, path: string): unknown {
  return path.split(".").reduce<unknown>(
    (section, name) =>
      typeof section === "object" && section !== null && Object.hasOwn(section, name)
        ? (section as Settings)[name]
        : undefined,
    settings,
  );
}
