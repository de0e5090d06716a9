/** Where a task's words go. */

import { printable, printableJson, printableLines } from "../training/printable.ts";

/** Prints lines for people and, where asked for, the result for programs. */
export class Output {
  readonly #json: boolean;

  /** Chooses the streams.
   * @param json whether the result goes to stdout as JSON; all else goes to stderr then
   */
  constructor(json: boolean) {
    this.#json = json;
  }

  /** Prints a line for people, without control characters, which names may have.
   * @throws {Error} the stream cannot be written, as where the disk behind it is full
   */
  say(line: string): void {
    print(this.#json ? "stderr" : "stdout", printableLines(line));
  }

  /** Prints the result: as one line of JSON, or as people read it.
   * @throws {Error} the stream cannot be written
   */
  result(value: unknown, lines: readonly string[]): void {
    for (const line of this.#json ? [printableJson(value)] : lines.map(printableLines)) {
      print("stdout", line);
    }
  }

  /** Whether people watch the lines arrive. */
  get isTerminal(): boolean {
    return (this.#json ? Deno.stderr : Deno.stdout).isTerminal();
  }

  /** How many characters fit in a line of the terminal; 79 where it does not say. */
  get columns(): number {
    return (Deno.consoleSize().columns || 80) - 1;
  }

  /** Puts a text in place of the terminal's current line. */
  redraw(text: string): void {
    const stream = this.#json ? Deno.stderr : Deno.stdout;
    stream.writeSync(new TextEncoder().encode(`\r\x1b[K${printable(text).slice(0, this.columns)}`));
  }
}

/** Prints whole lines wherever they go: mpirun shows its processes a terminal, whatever it has itself. */
export class LineOutput extends Output {
  /** Nothing is redrawn. */
  override get isTerminal(): boolean {
    return false;
  }
}

/** Prints nothing: of the processes that train together one speaks. */
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
