/** Loads modules that only some programs need. */

/** Imports a module of this folder that depends on a large package. Deno downloads the packages of every statically
 * imported module, even if it is never run. A computed specifier delays that until the module is needed.
 * @param name the file, such as "emoji_google.ts"
 */
export async function loadOnDemand(name: string): Promise<unknown> {
  return await import(new URL(name, import.meta.url).href);
}
