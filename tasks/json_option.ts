/** The flag for a result that programs read. */
import * as z from "zod";

/** The flag `--json` of a task whose readable output then goes to stderr.
 * @param result what the task prints as JSON: "the numbers"
 */
export function jsonOption(result: string): z.ZodDefault<z.ZodBoolean> {
  return z.boolean().default(false)
    .describe(`prints ${result} as the last line of stdout, everything else on stderr`);
}
