/** Skips broken images up to a limit, and reports each of them. */
import type { Split } from "./dataset.ts";
import type { BrokenImage } from "./decoder.ts";
import type { OpenOptions } from "./kind.ts";

/** The broken images found in a data set so far. */
export class BrokenImages {
  readonly #names = new Set<string>();

  /** Starts without broken images.
   * @param dataset the name of the data set in messages
   * @param limit the maximum number of images to skip
   */
  constructor(
    readonly dataset: string,
    readonly limit: number,
    readonly options: OpenOptions,
  ) {}

  /** Reports a broken image the first time that it is found.
   * @throws {Error} there are more broken images than the limit
   */
  leaveOut({ name, problem }: BrokenImage): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.#names.size > this.limit) {
      throw new Error(
        `Cannot continue to read ${this.dataset}: at most ${this.limit} of its images may be broken ` +
          `(--data.brokenLimit), got ${this.#names.size}, the last ${name}: ${problem}`,
      );
    }
    this.options.onMessage?.(
      `skipped broken image ${this.#names.size} of ${this.dataset}: ${name}: ${problem}`,
    );
  }

  /** The error to throw if every image of a part, or of a class in it, is broken. */
  allBroken(split: Split, ofClass?: string): Error {
    const which = ofClass === undefined ? "images" : `images of the class ${ofClass}`;
    return new Error(
      `Cannot read ${this.dataset}: at least one of the ${split} ${which} must be intact, got none`,
    );
  }
}
