/** Reads the YAML files that are published with models. */
import { load } from "js-yaml";
import { regularSize } from "../files/regular_file.ts";
import { UsageError } from "./fail.ts";

/** The largest size of a file, in bytes; published ones have a few thousand. */
const MOST_BYTES = 2 ** 20;

/** Reads a YAML file; no code in it is executed.
 * @throws {UsageError} it cannot be read, is too large, or is not YAML
 */
export async function readYamlFile(path: string): Promise<unknown> {
  try {
    const size = await regularSize(path);
    if (size > MOST_BYTES) throw new RangeError(`${size} bytes, more than ${MOST_BYTES}`);
    return load(await Deno.readTextFile(path));
  } catch (cause) {
    throw new UsageError(
      `Cannot read the configuration: --config must name a YAML file that can be read, got ${path} (${
        (cause as Error).message.split("\n")[0]
      })`,
      { cause },
    );
  }
}
