/** Reads a file's JSON, checked: files may come from elsewhere, or be damaged. */
import { readFile } from "node:fs/promises";
import type { z } from "zod";

/** A file's JSON in the form of a schema.
 * @throws {Error} the file cannot be read, holds no JSON or something of another form; the message names it. Where there
 * is none, the cause has the code `ENOENT`.
 */
export async function readJsonFile<S extends z.ZodType>(
  path: string,
  schema: S,
): Promise<z.output<S>> {
  const refuse = (requirement: string, got: string, cause?: unknown): never => {
    throw new Error(`Cannot read ${path}: ${requirement}, got ${got}`, { cause });
  };
  const text = await readFile(path, "utf8").catch((cause: Error) =>
    refuse("the file must exist and be readable", cause.message, cause)
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    refuse("it must hold JSON", (cause as Error).message, cause);
  }
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data;
  const [{ path: place, message }] = error.issues;
  return refuse(`${place.map(String).join(".") || "it"} must be what this program writes`, message);
}

/** The same, or undefined where there is no such file. */
export async function readJsonFileIfThere<S extends z.ZodType>(
  path: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  try {
    return await readJsonFile(path, schema);
  } catch (error) {
    const { cause } = error as { readonly cause?: { readonly code?: string } };
    if (cause?.code === "ENOENT") return undefined;
    throw error;
  }
}
