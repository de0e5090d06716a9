/** Checks image names from untrusted files, and derives the names of output files. */
import { isAbsolute, relative, resolve } from "node:path";
import { hasControls } from "./printable.ts";

/** The largest length of a name, in characters. */
const LONGEST = 4096;

/** Rejects a name that points outside its folder or is not a valid file name.
 * @throws {RangeError} the name is rejected
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

/** The names of the PNG files for images. `.png` replaces the extension of each name. If two images would then share a
 * file, or another file has that name, `.png` is appended instead. Names are compared without regard to case, as some
 * file systems do.
 *
 * ```ts
 * import { pngNames } from "./image_names.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(pngNames(["a/b.jpg", "c.jpg", "C.png"]), ["a/b.png", "c.jpg.png", "C.png.png"]);
 * ```
 * @param taken names of other output files
 * @throws {RangeError} two images would still share a file, because their names differ only in case
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
    // Full names differ whenever names do. Each round gives at least one image its full name; otherwise there is no
    // solution.
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
