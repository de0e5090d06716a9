/** Folders of images: finding the files. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Split } from "./dataset.ts";
import type { DecodedDatasetOptions, ImageList } from "./decoded.ts";

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
export function filesIn(folder: string, names: readonly string[]): ImageFiles {
  return {
    names,
    count: names.length,
    at: (index) => ({ name: names[index], path: join(folder, names[index]) }),
  };
}

/** The images of a folder. */
export interface ImageFiles extends ImageList {
  /** Their paths from the folder on. */
  readonly names: readonly string[];
}

/** The parts of a set with their classes: an image's class is the folder in its part that it lies in, or the folder around
 * that. Classes are numbered in the order of their names. There are none unless every image of both parts lies in such a
 * folder. */
export function classedByFolders(
  parts: Readonly<Record<Split, ImageFiles>>,
): Pick<DecodedDatasetOptions, "parts" | "classes"> {
  const folders = {
    train: parts.train.names.map(firstFolder),
    test: parts.test.names.map(firstFolder),
  };
  const classes = [...new Set([...folders.train, ...folders.test])].sort();
  if (classes.includes("")) return { parts };
  const numbers = new Map(classes.map((name, number) => [name, number]));
  const labelled = (split: Split): ImageList => ({
    ...parts[split],
    labels: Int32Array.from(folders[split], (name) => numbers.get(name)!),
  });
  return { parts: { train: labelled("train"), test: labelled("test") }, classes };
}

/** The first folder of a path; nothing of a bare name. */
function firstFolder(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf("/")));
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
  throw new Error(`Cannot open ${dataset}: --data.path must name its folder, got none; ${hint}`);
}
