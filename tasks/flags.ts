/** The command line: parses flags according to a list of settings. */
import { nearestSetting, type Setting, showSetting } from "../settings/settings.ts";
import { UsageError } from "./fail.ts";

/** An operand: an argument that is not a flag. */
export interface Operand {
  /** Its name in the help. */
  readonly name: string;
  /** What it means. */
  readonly description: string;
  /** Whether it may be repeated; only for the last operand. */
  readonly repeats?: boolean;
}

/** The command line of a task. */
export interface Command {
  /** The command: `deno task train`. */
  readonly call: string;
  /** What it does. */
  readonly summary: string;
  /** The operands, in order. */
  readonly operands: readonly Operand[];
  /** The flags of the task itself. */
  readonly options: readonly Setting[];
  /** The flags that are paths of the configuration. */
  readonly settings: readonly Setting[];
}

/** A parsed command line. */
export interface CommandLine {
  /** Values of the task's own flags, by name. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Values of the configuration's flags, nested by section. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The operands by name; the first one if it is repeated. */
  readonly operands: Readonly<Record<string, string>>;
  /** The operands in order. */
  readonly words: readonly string[];
  /** The help topic, if help was requested; `usual` if no topic was given. Operands may then be missing. */
  readonly help: string | undefined;
}

/** Reads a command line. Flags are `--path value` or `--path=value`; a boolean flag needs no value. If a flag is
 * repeated, the last one counts. A value that begins with `--` must contain a space or follow `=`. Values are not
 * validated yet.
 * @throws {UsageError} a flag is unknown or has no value, an operand is missing or superfluous
 */
export function readCommandLine(args: readonly string[], command: Command): CommandLine {
  const asked = args.findIndex((arg) => arg === "--help" || arg === "-h");
  const topic = asked >= 0 && /^[^-]/.test(args[asked + 1] ?? "") ? args[asked + 1] : undefined;
  const help = asked < 0 ? undefined : topic ?? "usual";
  const flags = new Map([...command.options, ...command.settings].map((s) => [s.path, s]));
  const values = new Map<string, unknown>();
  const operands: string[] = [];
  const waiting = asked < 0 ? [...args] : args.toSpliced(asked, topic === undefined ? 1 : 2);
  while (waiting.length > 0) {
    const arg = waiting.shift()!;
    if (!arg.startsWith("-")) {
      operands.push(arg);
      continue;
    }
    const [, name, inline] = arg.match(/^-+([^=]*)(?:=(.*))?$/s)!;
    const flag = arg.startsWith("--") ? flags.get(name) : undefined;
    if (flag === undefined) throw unknownFlag(arg, [...flags.keys()], command.call);
    values.set(name, valueOf(flag, inline ?? takeValue(flag, waiting)));
  }
  const own = new Set(command.options.map(({ path }) => path));
  return {
    options: Object.fromEntries([...values].filter(([path]) => own.has(path))),
    settings: nest([...values].filter(([path]) => !own.has(path))),
    operands: help === undefined ? nameOperands(operands, command) : {},
    words: operands,
    help,
  };
}

function unknownFlag(arg: string, known: readonly string[], call: string): UsageError {
  const name = arg.replace(/^-+/, "").split("=")[0];
  const nearest = nearestSetting(name, [...known, "help"]);
  const hint = nearest === undefined
    ? `\`${call} --help\` lists all flags`
    : `did you mean --${nearest}?`;
  return new UsageError(`Cannot read the command line: there is no flag ${arg}, ${hint}`);
}

function takeValue(flag: Setting, waiting: string[]): string {
  const next = waiting[0];
  if (flag.kind === "boolean") {
    return next === "true" || next === "false" ? waiting.shift()! : "true";
  }
  if (next !== undefined && !/^--\S*$/.test(next)) return waiting.shift()!;
  throw new UsageError(
    `Cannot read the command line: --${flag.path} must be followed by ${flag.allowed}, got ${
      showSetting(next)
    }`,
  );
}

/** Parses the value of a flag. A text that cannot be parsed is returned unchanged, and the schema rejects it. */
function valueOf({ kind, allowed }: Setting, text: string): unknown {
  if (text === "none" && allowed.endsWith("or none")) return null;
  if (kind === "boolean" && (text === "true" || text === "false")) return text === "true";
  if (kind === "numbers") return text.split(",").map(numberOf);
  return kind === "number" ? numberOf(text) : text;
}

function numberOf(text: string): number | string {
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}

/** Values by dotted name, nested by section. */
export function nest(values: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const nested: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const names = path.split(".");
    const last = names.pop()!;
    const section = names.reduce(
      (parent, name) => (parent[name] ??= {}) as Record<string, unknown>,
      nested,
    );
    section[last] = value;
  }
  return nested;
}

function nameOperands(
  given: readonly string[],
  { operands, call }: Command,
): Record<string, string> {
  const isEnough = operands.at(-1)?.repeats
    ? given.length >= operands.length
    : given.length === operands.length;
  if (!isEnough) {
    const wanted = showOperands(operands) || "none";
    throw new UsageError(
      `Cannot read the command line: the operands of \`${call}\` must be ${wanted}, got ${
        given.join(" ") || "none"
      }`,
    );
  }
  return Object.fromEntries(operands.map(({ name }, index) => [name, given[index]]));
}

/** Formats operands as on a command line: `RUN…` if they may be repeated. */
export function showOperands(operands: readonly Operand[]): string {
  return operands.map(({ name, repeats = false }) => repeats ? `${name}…` : name).join(" ");
}
