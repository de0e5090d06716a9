/** The lock file of this project, for the processes of a study. */
import { fileURLToPath } from "node:url";

/** The flags of `deno run` that hold the npm packages of a process to the versions of this project's lock file; none where
 * the project lies on the web. */
export function lockFlags(): readonly string[] {
  const url = new URL("../deno.lock", import.meta.url);
  return url.protocol === "file:" ? [`--lock=${fileURLToPath(url)}`, "--frozen"] : [];
}
