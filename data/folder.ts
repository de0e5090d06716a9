/** Folders of images: finding the files. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Split } from "./dataset.ts";
import type { DecodedDatasetOptions, ImageList } from "./decoded.ts";

/** The extensions of image files. */
const IMAGE = /\.(jpe?g|png|webp|gif|tiff?|avif)$/i;

/** Whether a file name has the extension of an image. */
export function isImageName(name: string): boolean {
  return IMAGE.test(name);
}

/** The images in a folder and its subfolders: their paths relative to the folder, with `/` as the separator, sorted by
 * code units, so that the order is the same on every machine. Names that start with a dot are skipped. Links to files
 * are followed, links to folders are not.
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
 * @param names their paths relative to the folder
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
  /** Their paths relative to the folder. */
  readonly names: readonly string[];
}

/** Adds classes to the parts of a data set: the class of an image is the top-level folder of its part that contains the
 * image. Classes are numbered in the order of their names. Without such a folder for every image of both parts, there
 * are no classes. */
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

/** The first folder of a path; undefined for a bare file name. */
function firstFolder(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf("/")));
}

/** The names of the folders in a folder.
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

/** The path of a data set that the user must provide.
 * @param dataset the name of the data set
 * @param hint where to get the data set, and what the folder must contain
 * @throws {Error} no path is given
 */
export function requirePath(path: string | null, dataset: string, hint: string): string {
  if (path !== null) return path;
  throw new Error(`Cannot open ${dataset}: --data.path must name its folder, got none; ${hint}`);
}
