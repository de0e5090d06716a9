/** The elements of the page, and how a part of it says how it is. */

/** An element by its id or, within another, by a selector.
 * @throws {Error} the page has none, or one of another kind
 */
export function find<E extends Element>(
  selector: string,
  kind: new () => E,
  within: ParentNode = document,
): E {
  const element = within.querySelector(selector);
  if (element instanceof kind) return element;
  throw new Error(`The page must have ${selector} as ${kind.name}, got ${element?.tagName}`);
}

/** Makes an element. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
): HTMLElementTagNameMap[Tag] {
  return Object.assign(document.createElement(tag), properties);
}

/** Shows an error where it happened. */
export function showError(alert: Element, error: unknown): void {
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  alert.textContent = `This did not work: ${message}`;
  (alert as HTMLElement).hidden = false;
}

/** A part of the page: its section, which is loading, ready or failed. */
export class Part {
  /** Its section. */
  readonly section: HTMLElement;
  readonly #alert: HTMLElement;

  /** Finds the section. */
  constructor(name: string) {
    this.section = find(`#${name}`, HTMLElement);
    this.#alert = find(".alert", HTMLElement, this.section);
  }

  /** Shows which share of what it loads is there. */
  progress(share: number): void {
    find("progress", HTMLProgressElement, this.section).value = share;
  }

  /** Starts the part: what fails on the way is shown, with a button to try again. */
  async start(begin: () => Promise<void>): Promise<void> {
    this.section.dataset.state = "loading";
    this.#alert.hidden = true;
    try {
      await begin();
      this.section.dataset.state = "ready";
    } catch (error) {
      this.section.dataset.state = "failed";
      showError(this.#alert, error);
      const again = make("button", { type: "button", textContent: "Try again" });
      again.onclick = () => void this.start(begin);
      this.#alert.append(" ", again);
    }
  }

  /** Makes a listener of something that takes time and may fail: then the error is shown, and the next success hides
   * it. */
  does<Arguments extends unknown[]>(
    work: (...values: Arguments) => Promise<void>,
  ): (...values: Arguments) => void {
    return (...values) => {
      work(...values).then(
        () => this.#alert.hidden = true,
        (error) => showError(this.#alert, error),
      );
    };
  }
}
