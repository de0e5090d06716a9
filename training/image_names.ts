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
 * @throws {RangeError} two images would share a file all the same: their names differ in capitals alone
 */
export function pngNames(names: readonly string[], taken: readonly string[] = []): string[] {
  const written = names.map((name) => `${name.replace(/(?<=[^/])\.[^./]*$/, "")}.png`);
  const key = (name: string) => name.normalize().toLowerCase();
  while (true) {
    const sharing = Map.groupBy(written.keys(), (at) => key(written[at]));
    const wrong = [...sharing].filter(([file, images]) =>
      images.length > 1 || taken.some((other) => key(other) === file)
    ).flatMap(([, images]) => images);
    if (wrong.length === 0) return written;
    // Whole names differ where names do: each round gives some image its whole name, or there is no way.
    const short = wrong.filter((at) => written[at] !== `${names[at]}.png`);
    if (short.length === 0) {
      throw new RangeError(
        `Cannot name the images' files: each must have a name of its own, got ${
          written[wrong[0]]
        } twice`,
      );
    }
    for (const at of short) written[at] = `${names[at]}.png`;
  }
}
