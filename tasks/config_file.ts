/** Reads a task's settings file. */
import { parseJson } from "../files/bounded_json.ts";
import { UsageError } from "./fail.ts";

/** Reads a JSON file of settings.
 * @throws {UsageError} it cannot be read, or is not JSON
 */
export async function readConfigFile(
  path: string,
): Promise<Readonly<Record<string, unknown>> | null> {
  const text = await Deno.readTextFile(path).catch((cause: Error) => {
    throw new UsageError(
      `Cannot read the configuration: --config must name a file that can be read, got ${path} (${cause.message})`,
      { cause },
    );
  });
  try {
    return parseJson(text, path);
  } catch (cause) {
    throw new UsageError(
      `Cannot read the configuration: ${path} must be JSON, got ${(cause as Error).message}`,
      { cause },
    );
  }
}
