/** Ctrl-C: once to stop in order, twice to stop at once. */

/** The exit code of a run that was interrupted. */
export const INTERRUPTED = 130;

/** Listens for SIGINT and SIGTERM while it lives. The first aborts `signal`, the second ends the process. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  readonly #listener: () => void;

  /** Begins to listen.
   * @param onFirst called at the first signal
   */
  constructor(onFirst: () => void) {
    this.#listener = () => {
      if (this.signal.aborted) Deno.exit(INTERRUPTED);
      this.#controller.abort();
      onFirst();
    };
    for (const name of this.#signals) Deno.addSignalListener(name, this.#listener);
  }

  /** Aborted from the first signal on. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Listens no longer. */
  [Symbol.dispose](): void {
    for (const name of this.#signals) Deno.removeSignalListener(name, this.#listener);
  }
}
