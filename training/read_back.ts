/** Files that a run left, read back: what each holds is checked, and one that is broken is named. */
import { readFile, stat } from "node:fs/promises";
import * as z from "zod";
import { parseJson } from "../files/bounded_json.ts";
import { fromJsonNumber } from "../files/json_number.ts";

/** A number as `toJsonNumber` keeps it: the number, or the text of one that is not finite. */
export const jsonNumber: z.ZodType<number> = z.union([
  z.number(),
  z.enum(["Infinity", "-Infinity", "NaN"]).transform(fromJsonNumber),
]);

/** A file that cannot be read, or does not hold what it must. */
export class DamagedFileError extends Error {
  /** Where it is. */
  readonly path: string;

  /** Names it.
   * @param requirement what it must be or hold: "it must hold JSON"
   */
  constructor(path: string, requirement: string, actual: string, options?: ErrorOptions) {
    super(`Cannot read ${path}: ${requirement}, got ${actual}`, options);
    this.name = "DamagedFileError";
    this.path = path;
  }
}

/** The bytes of a regular file; none where there is no file.
 * @throws {DamagedFileError} it is none, or cannot be read
 */
export async function readWhole(path: string): Promise<Uint8Array | undefined> {
  try {
    const found = await stat(path);
    if (found.isFile()) return await readFile(path);
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new DamagedFileError(path, "the file must be readable", message, { cause });
  }
  throw new DamagedFileError(path, "it must be a regular file", "something else");
}

/** What a file of JSON holds; none where there is no file.
 * @param what it must hold, in words: "a run's summary"
 * @throws {DamagedFileError} it cannot be read, or holds something else
 */
export async function readJsonFile<T>(
  path: string,
  schema: z.ZodType<T>,
  what: string,
): Promise<T | undefined> {
  const bytes = await readWhole(path);
  return bytes === undefined ? undefined : check(path, textOf(bytes), schema, what);
}

/** What a file of JSON holds in its lines, without a last one that a kill cut short; nothing where there is no file.
 * @param what a line must hold, in words
 * @throws {DamagedFileError} it cannot be read, or a line holds something else
 */
export async function readJsonLines<T>(
  path: string,
  schema: z.ZodType<T>,
  what: string,
): Promise<readonly T[]> {
  const bytes = await readWhole(path);
  if (bytes === undefined) return [];
  const lines = textOf(bytes).split("\n");
  lines.pop(); // Empty, or cut short.
  return lines.map((line, at) => check(path, line, schema, `${what} in line ${at + 1}`));
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function check<T>(path: string, text: string, schema: z.ZodType<T>, what: string): T {
  try {
    const { data, error } = schema.safeParse(parseJson(text, path));
    if (error === undefined) return data;
    const [{ path: place, message }] = error.issues;
    const where = place.length === 0 ? "" : ` at ${place.map(String).join(".")}`;
    throw new DamagedFileError(path, `it must hold ${what}`, `"${message}"${where}`);
  } catch (cause) {
    if (cause instanceof DamagedFileError) throw cause;
    const { message } = cause as Error; // No JSON, or nested too deeply to walk.
    throw new DamagedFileError(path, `it must hold ${what}`, message, { cause });
  }
}
