/** Helpers for the page's elements, and the states of its parts. */

/** Finds an element by a selector.
 * @throws {Error} there is no such element, or it is of another type
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

/** Creates an element. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
): HTMLElementTagNameMap[Tag] {
  return Object.assign(document.createElement(tag), properties);
}

/** Waits for the next frame. A hidden page has no frames and waits a moment instead. */
export function nextFrame(): Promise<unknown> {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve, 100);
    else requestAnimationFrame(resolve);
  });
}

/** Shows an error to the user. */
export function showError(alert: Element, error: unknown): void {
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  alert.textContent = `This did not work: ${message}`;
  (alert as HTMLElement).hidden = false;
}

/** A section of the page. It is loading, ready or failed. */
export class Part {
  /** The element. */
  readonly section: HTMLElement;
  readonly #alert: HTMLElement;

  /** Finds the section. */
  constructor(name: string) {
    this.section = find(`#${name}`, HTMLElement);
    this.#alert = find(".alert", HTMLElement, this.section);
  }

  /** Shows the loading progress, from 0 to 1. */
  progress(share: number): void {
    find("progress", HTMLProgressElement, this.section).value = share;
  }

  /** Loads and starts the part. If that fails, shows the error and a button to try again. */
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

  /** Turns an asynchronous function into an event listener. A failure is shown in this part until the next success. */
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
