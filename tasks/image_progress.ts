/** The progress of a task over images: a bar on a terminal, otherwise a line every few seconds. */
import type { Output } from "./output.ts";
import { bar, showDuration } from "./progress.ts";

const BAR_WIDTH = 20;
/** Milliseconds between two lines if there is no terminal, and between two updates of the bar. */
const LINE_EVERY = 5000, BAR_EVERY = 100;

/** Shows the number of processed images. */
export class ImageProgress {
  readonly #output: Output;
  readonly #total: number;
  readonly #started = performance.now();
  #shown = performance.now();
  #drawn = false;

  /** Shows on an output.
   * @param total images in all
   */
  constructor(output: Output, total: number) {
    this.#output = output;
    this.#total = total;
  }

  /** Shows that this many images are processed. */
  show(done: number): void {
    const now = performance.now(), { isTerminal } = this.#output;
    if (done === 0 || now - this.#shown < (isTerminal ? BAR_EVERY : LINE_EVERY)) return;
    this.#shown = now;
    const rate = done * 1000 / (now - this.#started);
    const left = showDuration((this.#total - done) / rate);
    const line = `${done} of ${this.#total} images  ${rate.toFixed(1)} images/s  ${left} left`;
    if (isTerminal) {
      this.#output.redraw(`${bar(done / this.#total, BAR_WIDTH)} ${line}`);
      this.#drawn = true;
    } else this.#output.say(line);
  }

  /** Clears the bar, so that other lines can follow. */
  clear(): void {
    if (this.#drawn) this.#output.redraw("");
    this.#drawn = false;
  }
}
