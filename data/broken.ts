/** Broken images: counted, named, and left out up to a limit. */
import type { Split } from "./dataset.ts";
import type { BrokenImage } from "./decoder.ts";
import type { OpenOptions } from "./kind.ts";

/** The broken images that were met in a data set. */
export class BrokenImages {
  readonly #names = new Set<string>();

  /** Has met none yet.
   * @param dataset what messages call the set
   * @param limit how many may be left out
   */
  constructor(
    readonly dataset: string,
    readonly limit: number,
    readonly options: OpenOptions,
  ) {}

  /** Names a broken image, the first time that it is met.
   * @throws {Error} it is one more than the limit
   */
  leaveOut({ name, problem }: BrokenImage): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.#names.size > this.limit) {
      throw new Error(
        `Cannot go on reading ${this.dataset}: at most ${this.limit} of its images may be broken ` +
          `(--data.brokenLimit), got ${this.#names.size}, the last ${name}: ${problem}`,
      );
    }
    this.options.onMessage?.(
      `left out broken image ${this.#names.size} of ${this.dataset}: ${name}: ${problem}`,
    );
  }

  /** What to throw where no image is whole, of a part or of a class in it. */
  allBroken(split: Split, ofClass?: string): Error {
    const which = ofClass === undefined ? "images" : `images of the class ${ofClass}`;
    return new Error(
      `Cannot read ${this.dataset}: one of the ${split} ${which} must be whole, got none`,
    );
  }
}
