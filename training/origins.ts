/** Where settings may come from: what a file may not say, because it would run code or reach for the web. */
import { isAbsolute, normalize } from "node:path";
import { showSetting } from "../settings/settings.ts";
import type { Config } from "./config.ts";
import type { Settings } from "./presets.ts";

/** A setting that a file may give some values of only. */
interface FileRule {
  /** The setting. */
  readonly path: string;
  /** Whether a file may give the value. */
  readonly allows: (value: unknown) => boolean;
  /** What it must be in a file, and why. */
  readonly requirement: string;
}

const NO_PATH: ReadonlySet<unknown> = new Set(["auto", "off"]);

/** What would be asked of another machine: addresses, and the shares of Windows's networks. */
const ELSEWHERE = /:\/\/|(?:^|,)\s*(?:\/\/|\\\\)/;

const onThisMachine = (path: string): FileRule => ({
  path,
  allows: (value) => typeof value !== "string" || !ELSEWHERE.test(value),
  requirement: "on this machine in a file, as an address would be connected to",
});

const noPath = (path: string): FileRule => ({
  path,
  allows: (value) => NO_PATH.has(value),
  requirement: "auto or off in a file, as the library at a path would be executed",
});

const RULES: readonly FileRule[] = [
  ...["cpu.blas", "cpu.dnn"].map(noPath),
  ...["data.path", "data.root", "data.train", "data.test", "objective.weights"].map(onThisMachine),
];

/** Refuses what only the command line, or the program's own call, may say.
 * @param config all settings, wherever they came from
 * @param said those that the command line said, or the program
 * @throws {RangeError} a file says one of the others
 */
export function checkOrigins(config: Config, said: Settings): void {
  for (const { path, allows, requirement } of RULES) {
    const value = at(config, path);
    if (allows(value) || at(said, path) === value) continue;
    throw new RangeError(
      `Cannot read the configuration: ${path} must be ${requirement}, got ${
        showSetting(value)
      }; on the command line --${path} may say it`,
    );
  }
}

/** Refuses a run's folder that a file of settings names, if it is not within the working folder.
 * @throws {RangeError} it is elsewhere
 */
export function checkOut(out: string): void {
  if (!isAbsolute(out) && !/^\.\.(?:[\\/]|$)/.test(normalize(out))) return;
  throw new RangeError(
    "Cannot read the configuration: out must be within the working folder in a file, as files are written there, got " +
      `${showSetting(out)}; on the command line --out may say it`,
  );
}

/** The flags that must stand on the command line again for a run to go on as it is configured: a file may not say them.
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
