/** How a task ends: its exit code, and the message of what went wrong. */
import config from "../deno.json" with { type: "json" };
import { printableLines } from "../training/printable.ts";
import { explainPermission } from "./missing_permission.ts";

/** A command line or a configuration that cannot be followed; the exit code is 2. */
export class UsageError extends Error {
  /** Says what was asked, what is allowed, and what came. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UsageError";
  }
}

/** Calls a function whose errors are the user's input's. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Waits for something whose range errors are the user's input's. */
export async function asInput<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
}

/** Runs a task and ends the process: with the code that it gives, with 2 after a `UsageError`, with 1 after any other.
 * Where the command line asks for the version, it prints that instead. The message goes to stderr; an error that this program did not foresee shows where it comes from besides. */
export async function runTask(task: () => Promise<number>): Promise<never> {
  if (Deno.args.includes("--version") || Deno.args.includes("-V")) {
    console.log(config.version);
    Deno.exit(0);
  }
  try {
    Deno.exit(await task());
  } catch (error) {
    console.error(printableLines(describe(error)));
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `Cannot go on: ${error}`;
  const missing = explainPermission(error.message);
  if (missing !== undefined) {
    return `${
      error.message.startsWith("Cannot ") ? "" : "Cannot go on: "
    }${error.message}\n${missing}`;
  }
  if (error.message.startsWith("Cannot ")) return error.message;
  return `Cannot go on: ${error.message}\nThis was not foreseen; it comes from\n${error.stack}`;
}
