/** How a task ends: its exit code and its error message. */
import config from "../deno.json" with { type: "json" };
import { printableLines } from "../training/printable.ts";
import { explainPermission } from "./missing_permission.ts";

/** The error for an invalid command line or configuration; the exit code is 2. */
export class UsageError extends Error {
  /** Creates the error. The message says what was requested, what is allowed, and what was given. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UsageError";
  }
}

/** Calls a function whose errors are caused by the user's input. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Awaits a function whose range errors are caused by the user's input. */
export async function asInput<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
}

/** Runs a task and ends the process. The exit code is that of the task, 2 after a `UsageError`, and 1 after any other
 * error. If the command line asks for the version, it prints that instead. Error messages go to stderr; unexpected
 * errors also show the stack. */
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
  if (!(error instanceof Error)) return `Cannot continue: ${error}`;
  const missing = explainPermission(error.message);
  if (missing !== undefined) {
    return `${
      error.message.startsWith("Cannot ") ? "" : "Cannot continue: "
    }${error.message}\n${missing}`;
  }
  if (error.message.startsWith("Cannot ")) return error.message;
  return `Cannot continue: ${error.message}\nThis error was not expected; it comes from\n${error.stack}`;
}
