/** The lock file of this project, for the processes of a study. */
import { fileURLToPath } from "node:url";

/** The flags of `deno run` that fix the npm packages of a process to the versions in this project's lock file; none if
 * the project is loaded from the web. */
export function lockFlags(): readonly string[] {
  const url = new URL("../deno.lock", import.meta.url);
  return url.protocol === "file:" ? [`--lock=${fileURLToPath(url)}`, "--frozen"] : [];
}
