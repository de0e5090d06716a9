/** Reads the files of a run and validates their contents. Errors name the damaged file. */
import { readFile, stat } from "node:fs/promises";
import * as z from "zod";
import { parseJson } from "../files/bounded_json.ts";
import { fromJsonNumber } from "../files/json_number.ts";

/** A number as `toJsonNumber` writes it: the number, or a string if it is not finite. */
export const jsonNumber: z.ZodType<number> = z.union([
  z.number(),
  z.enum(["Infinity", "-Infinity", "NaN"]).transform(fromJsonNumber),
]);

/** A file that cannot be read, or does not have the required contents. */
export class DamagedFileError extends Error {
  /** The path of the file. */
  readonly path: string;

  /** Creates the error for a file.
   * @param requirement what the file must be or contain, such as "it must hold JSON"
   */
  constructor(path: string, requirement: string, actual: string, options?: ErrorOptions) {
    super(`Cannot read ${path}: ${requirement}, got ${actual}`, options);
    this.name = "DamagedFileError";
    this.path = path;
  }
}

/** Reads the bytes of a regular file; undefined if there is no file.
 * @throws {DamagedFileError} it is not a regular file, or cannot be read
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

/** Reads a JSON file; undefined if there is no file.
 * @param what the required contents in words, such as "a run's summary"
 * @throws {DamagedFileError} it cannot be read, or has other contents
 */
export async function readJsonFile<T>(
  path: string,
  schema: z.ZodType<T>,
  what: string,
): Promise<T | undefined> {
  const bytes = await readWhole(path);
  return bytes === undefined ? undefined : check(path, textOf(bytes), schema, what);
}

/** Reads a file with one JSON value per line, without an incomplete last line; an empty list if there is no file. A
 * last line is incomplete if the process was killed while writing it.
 * @param what the required contents of a line, in words
 * @throws {DamagedFileError} it cannot be read, or a line has other contents
 */
export async function readJsonLines<T>(
  path: string,
  schema: z.ZodType<T>,
  what: string,
): Promise<readonly T[]> {
  const bytes = await readWhole(path);
  if (bytes === undefined) return [];
  const lines = textOf(bytes).split("\n");
  lines.pop(); // Empty or incomplete.
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
    const { message } = cause as Error; // Not JSON, or nested too deeply.
    throw new DamagedFileError(path, `it must hold ${what}`, message, { cause });
  }
}
