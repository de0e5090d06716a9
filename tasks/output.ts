/** The output of a task. */

import { printable, printableJson, printableLines } from "../training/printable.ts";

/** Prints readable lines and, if requested, a machine-readable result. */
export class Output {
  readonly #json: boolean;

  /** Chooses the streams.
   * @param json whether the result goes to stdout as JSON; everything else then goes to stderr
   */
  constructor(json: boolean) {
    this.#json = json;
  }

  /** Prints a line, without the control characters that names may contain.
   * @throws {Error} the stream cannot be written, for example because the disk is full
   */
  say(line: string): void {
    print(this.#json ? "stderr" : "stdout", printableLines(line));
  }

  /** Prints the result: as one line of JSON, or as readable lines.
   * @throws {Error} the stream cannot be written
   */
  result(value: unknown, lines: readonly string[]): void {
    for (const line of this.#json ? [printableJson(value)] : lines.map(printableLines)) {
      print("stdout", line);
    }
  }

  /** Whether the output is a terminal. */
  get isTerminal(): boolean {
    return (this.#json ? Deno.stderr : Deno.stdout).isTerminal();
  }

  /** The number of characters in a line of the terminal; 79 if unknown. */
  get columns(): number {
    return (Deno.consoleSize().columns || 80) - 1;
  }

  /** Replaces the current line of the terminal. */
  redraw(text: string): void {
    const stream = this.#json ? Deno.stderr : Deno.stdout;
    stream.writeSync(new TextEncoder().encode(`\r\x1b[K${printable(text).slice(0, this.columns)}`));
  }
}

/** Always prints whole lines: under mpirun, processes see a terminal even if there is none. */
export class LineOutput extends Output {
  /** Nothing is redrawn. */
  override get isTerminal(): boolean {
    return false;
  }
}

/** Prints nothing: of the processes that train together, only one prints. */
export class Silence extends LineOutput {
  /** Prints nothing. */
  constructor() {
    super(false);
  }

  /** Prints nothing. */
  override say(): void {}

  /** Prints nothing. */
  override result(): void {}
}

function print(stream: "stdout" | "stderr", line: string): void {
  try {
    if (stream === "stdout") console.log(line);
    else console.error(line);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(`Cannot print: ${stream} must be writable, got ${reason}`, { cause });
  }
}
