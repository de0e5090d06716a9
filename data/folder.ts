/** Folders of images: finding the files. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ImageList } from "./decoded.ts";

/** The ends of the names of images. */
const IMAGE = /\.(jpe?g|png|webp|gif|tiff?|avif)$/i;

/** Whether a name is that of an image. */
export function isImageName(name: string): boolean {
  return IMAGE.test(name);
}

/** The images in a folder and in the folders in it: their paths from the folder on, with `/` between names, in the
 * order of their characters' codes, which is the same on every machine. Names that start with a dot are left out;
 * links are followed to files, not to folders.
 * @throws {Error} the folder cannot be read
 */
export async function findImages(folder: string): Promise<string[]> {
  const found: string[] = [];
  const waiting = [""];
  while (waiting.length > 0) {
    const below = waiting.pop()!;
    const path = join(folder, below);
    const entries = await readdir(path, { withFileTypes: true }).catch((cause: Error) => {
      throw new Error(
        `Cannot read ${path}: it must be a folder that can be read, got ${cause.message}`,
        { cause },
      );
    });
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory()) waiting.push(`${below}${entry.name}/`);
      else if (isImageName(entry.name)) found.push(`${below}${entry.name}`);
    }
  }
  return found.sort();
}

/** The images of a folder as a list.
 * @param names their paths from the folder on
 */
export function filesIn(folder: string, names: readonly string[]): ImageList {
  return {
    count: names.length,
    at: (index) => ({ name: names[index], path: join(folder, names[index]) }),
  };
}

/** The folders in a folder, by name.
 * @throws {Error} the folder cannot be read
 */
export async function foldersIn(folder: string): Promise<ReadonlySet<string>> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: Error) => {
    throw new Error(
      `Cannot read ${folder}: it must be a folder that can be read, got ${cause.message}`,
      { cause },
    );
  });
  return new Set(entries.filter((entry) => !entry.isFile()).map(({ name }) => name));
}

/** The path of a set that the user has to bring.
 * @param dataset its name
 * @param hint where it is had, and what must lie in the folder
 * @throws {Error} there is none
 */
export function requirePath(path: string | null, dataset: string, hint: string): string {
  if (path !== null) return path;
  throw new Error(`Cannot open ${dataset}: --data.path must say where it lies, got none; ${hint}`);
}
