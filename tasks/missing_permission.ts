/** Explains a missing Deno permission. */
import { dirname } from "node:path";
import { PARTIAL_SUFFIX } from "../files/atomic_write.ts";

/** What each kind of permission allows. */
const DEEDS: Readonly<Record<string, string>> = {
  read: "read",
  write: "write",
  net: "connect to",
  env: "read the environment variable",
  sys: "ask the system for",
  run: "start",
  ffi: "call the library",
  import: "import from",
};

/** Deno's own message, which may be part of other messages. */
const MISSING =
  /Requires (\w+) access to "([^"]*)", run again with the (--allow-\w+) flag|Requires (\w+) access, run again with the (--allow-\w+) flag/;

/** Names the missing permission and the flag that grants it; undefined for any other message.
 *
 * ```ts
 * import { explainPermission } from "./missing_permission.ts";
 * import assert from "node:assert/strict";
 * const words = explainPermission('Requires write access to "runs/a", run again with the --allow-write flag');
 * assert.match(words!, /^This process may not write runs\/a; --allow-write=runs\/a grants it/);
 * assert.equal(explainPermission("no such file"), undefined);
 * ```
 */
export function explainPermission(message: string): string | undefined {
  const found = message.match(MISSING);
  if (found === null) return undefined;
  const [, ...parts] = found;
  const [kind, asked, name] = parts[0] === undefined
    ? [parts[3], undefined, parts[4]]
    : parts.slice(0, 3);
  // A file that is replaced in one step is written beside itself first: the folder is what must be granted.
  const target = asked?.endsWith(PARTIAL_SUFFIX) ? dirname(asked) : asked;
  const flag = target === undefined ? name : quote(`${name}=${target}`);
  return `This process may not ${DEEDS[kind] ?? `have ${kind} of`} ${
    target ?? "anything"
  }; ${flag} grants it: among the ` +
    `flags of \`deno run\`, or in the environment variable CODEBOOK_ALLOW of \`deno task\`. docs/security.md says what ` +
    "each task needs.";
}

function quote(flag: string): string {
  return /\s/.test(flag) ? `"${flag}"` : flag;
}
