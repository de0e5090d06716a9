/** The user's cache folder, for files that can be recreated. */

/** Finds the folder: CODEBOOK_CACHE, or else `codebook` in XDG_CACHE_HOME or in the system's cache folder.
 * @param env reads an environment variable
 * @param os the system, as `Deno.build.os` names it
 * @returns undefined if the environment names no home folder
 */
export function cacheFolder(
  env: (name: string) => string | undefined,
  os: string,
): string | undefined {
  const own = env("CODEBOOK_CACHE");
  if (own) return own;
  const parent = env("XDG_CACHE_HOME") || systemCache(env, os);
  return parent === undefined ? undefined : `${parent}/codebook`;
}

function systemCache(
  env: (name: string) => string | undefined,
  os: string,
): string | undefined {
  if (os === "windows") return env("LOCALAPPDATA");
  const home = env("HOME");
  if (home === undefined) return undefined;
  return os === "darwin" ? `${home}/Library/Caches` : `${home}/.cache`;
}
