/** Where a task's words go. */

/** Prints lines for people and, where asked for, the result for programs. */
export class Output {
  readonly #json: boolean;

  /** Chooses the streams.
   * @param json whether the result goes to stdout as JSON; all else goes to stderr then
   */
  constructor(json: boolean) {
    this.#json = json;
  }

  /** Prints a line for people. */
  say(line: string): void {
    if (this.#json) console.error(line);
    else console.log(line);
  }

  /** Prints the result: as one line of JSON, or as people read it. */
  result(value: unknown, lines: readonly string[]): void {
    if (this.#json) console.log(JSON.stringify(value));
    else for (const line of lines) console.log(line);
  }

  /** Whether people watch the lines arrive. */
  get isTerminal(): boolean {
    return (this.#json ? Deno.stderr : Deno.stdout).isTerminal();
  }

  /** Puts a text in place of the terminal's current line. */
  redraw(text: string): void {
    const { columns } = Deno.consoleSize();
    const stream = this.#json ? Deno.stderr : Deno.stdout;
    stream.writeSync(new TextEncoder().encode(`\r\x1b[K${text.slice(0, columns - 1)}`));
  }
}
