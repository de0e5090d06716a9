/** Loads what only some programs need. */

/** A module of this folder that stands on a large package. Deno fetches the packages of every module that it can see
 * ahead, run or not; a specifier that is computed keeps this one's until it is called for.
 * @param name the file, such as "emoji_files.ts"
 */
export async function loadOnDemand(name: string): Promise<unknown> {
  return await import(new URL(name, import.meta.url).href);
}
