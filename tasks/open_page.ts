/** Opens a page with the system's default program. */
import { resolve } from "node:path";
import { explainPermission } from "./missing_permission.ts";
import type { Output } from "./output.ts";

/** The program that opens files, by system. None of them is a shell, which might interpret a name as a command. */
const OPENERS: Readonly<Partial<Record<typeof Deno.build.os, string>>> = {
  darwin: "open",
  windows: "explorer",
};

/** What the user can do if no program opens the page. */
const INSTEAD = "Open it in a browser yourself.";

/** Opens a page. If that is not possible, it prints the reason; the page exists anyway.
 * @param page the path of a file, or an address
 * @param opener the program; by default the system's
 */
export async function openPage(
  page: string | URL,
  output: Output,
  opener: string = OPENERS[Deno.build.os] ?? "xdg-open",
): Promise<void> {
  try {
    const { success, code } = await new Deno.Command(opener, {
      args: [page instanceof URL ? page.href : resolve(page)],
      ...{ stdin: "null", stdout: "null", stderr: "null" },
    }).output();
    if (success || opener === "explorer") return; // Explorer's code says nothing.
    output.say(
      `Cannot open ${page}: ${opener} must open it, got the exit code ${code}. ${INSTEAD}`,
    );
  } catch (cause) {
    const { message } = cause as Error;
    const reason = cause instanceof Deno.errors.NotFound
      ? `${opener} must be installed, got none`
      : explainPermission(message) ?? message;
    output.say(`Cannot open ${page}: ${reason.replace(/\.$/, "")}. ${INSTEAD}`);
  }
}
