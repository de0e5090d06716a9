/** The names of images in files that may come from others, and the names of the files that are written for them. */
import { isAbsolute, relative, resolve } from "node:path";
import { hasControls } from "./printable.ts";

/** Longest name, in characters. */
const LONGEST = 4096;

/** Refuses a name that would lie outside of the folder that it is put in, or cannot be a file's.
 * @throws {RangeError} it is such a name
 */
export function checkImageName(name: string, action: string): void {
  const place = relative(resolve("."), resolve(".", name));
  const parts = name.split("/");
  const stays = !isAbsolute(name) && !isAbsolute(place) && !/^\.\.(?:[\\/]|$)/.test(place);
  if (
    stays && !parts.some((part) => part === "" || part === "." || part === "..") &&
    name.length <= LONGEST && !hasControls(name)
  ) return;
  throw new RangeError(
    `Cannot ${action}: the name of an image must be a path within a folder, with / between names, got ${
      JSON.stringify(name.slice(0, 200))
    }`,
  );
}

/** The names of the PNG files for images: `.png` in place of each name's ending, or behind it where two images would
 * share a file otherwise, or another file has the name. They are told apart as file systems do that know no capitals.
 *
 * ```ts
 * import { pngNames } from "./image_names.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(pngNames(["a/b.jpg", "c.jpg", "C.png"]), ["a/b.png", "c.jpg.png", "C.png.png"]);
 * ```
 * @param taken names of other files that are written
 * @throws {RangeError} two images would share a file all the same
 */
export function pngNames(names: readonly string[], taken: readonly string[] = []): string[] {
  const short = names.map((name) => `${name.replace(/(?<=[^/])\.[^./]*$/, "")}.png`);
  const key = (name: string) => name.normalize().toLowerCase();
  const claims = new Map(taken.map((name) => [key(name), 1]));
  for (const name of short) claims.set(key(name), (claims.get(key(name)) ?? 0) + 1);
  const written = short.map((name, at) => claims.get(key(name)) === 1 ? name : `${names[at]}.png`);
  const seen = new Set(taken.map(key));
  for (const name of written) {
    if (seen.has(key(name))) {
      throw new RangeError(
        `Cannot name the images' files: each must have a name of its own, got ${name} twice`,
      );
    }
    seen.add(key(name));
  }
  return written;
}
