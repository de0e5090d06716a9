/** Ctrl-C: once to stop cleanly, twice to stop immediately. */

/** The exit code of a run that was interrupted. */
export const INTERRUPTED = 130;

/** A second signal within this many milliseconds belongs to the same Ctrl-C: the task runner forwards a signal that the
 * terminal has already sent to every process of the task. */
const SAME = 500;

/** Listens for SIGINT and SIGTERM until it is disposed. The first aborts `signal`, the second ends the process. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  readonly #listener: () => void;

  /** Starts to listen.
   * @param onFirst called at the first signal
   */
  constructor(onFirst: () => void) {
    let first = -Infinity;
    this.#listener = () => {
      const now = performance.now();
      if (now - first < SAME) return;
      if (this.signal.aborted) Deno.exit(INTERRUPTED);
      first = now;
      this.#controller.abort();
      onFirst();
    };
    for (const name of this.#signals) Deno.addSignalListener(name, this.#listener);
  }

  /** Aborted from the first signal on. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    for (const name of this.#signals) Deno.removeSignalListener(name, this.#listener);
  }
}
