/** A grid of codes, each with its colour and its number. */
import type { CodeColour } from "./code_colours.ts";
import { make } from "./dom.ts";

/** Rows and columns of the codes of a digit. */
export const GRID = 7;
/** The codes of a digit. */
export const PLACES: number = GRID * GRID;

/** What a grid tells. */
export interface GridListeners {
  /** A place was chosen. */
  readonly onChoose: (place: number) => void;
  /** The pointer, or the keyboard's focus, is on a place; none when it left. */
  readonly onPoint: (place: number | undefined) => void;
}

/** The codes of a picture, by rows. With listeners its places are buttons: the arrow keys go from one to the next. */
export class CodeGrid {
  readonly #cells: readonly HTMLElement[];
  readonly #colours: readonly CodeColour[];

  /** Fills an element of the page. */
  constructor(host: HTMLElement, colours: readonly CodeColour[], listeners?: GridListeners) {
    this.#colours = colours;
    const grid = make("div", { className: "codes" });
    this.#cells = Array.from({ length: PLACES }, (_, place) => {
      const cell = listeners === undefined ? make("span") : make("button", { type: "button" });
      if (listeners !== undefined) {
        cell.tabIndex = place === 0 ? 0 : -1;
        cell.onclick = () => listeners.onChoose(place);
        cell.onpointerenter = cell.onfocus = () => listeners.onPoint(place);
        cell.onpointerleave = cell.onblur = () => listeners.onPoint(undefined);
      }
      return cell;
    });
    if (listeners !== undefined) grid.onkeydown = (event) => this.#move(event);
    grid.append(...this.#cells);
    host.append(grid);
  }

  /** Shows codes; those that are −1 are not known yet.
   * @param changed places that are marked
   */
  show(codes: Int32Array, changed: ReadonlySet<number> = new Set()): void {
    this.#cells.forEach((cell, place) => {
      const code = codes[place];
      const { ground, text } = this.#colours[code] ?? { ground: "", text: "" };
      cell.style.background = ground;
      cell.style.color = text;
      cell.textContent = code < 0 ? "" : String(code);
      cell.classList.toggle("changed", changed.has(place));
      const words = code < 0 ? "not drawn yet" : `code ${code}`;
      cell.ariaLabel = `Row ${Math.floor(place / GRID) + 1}, column ${place % GRID + 1}: ${words}`;
    });
  }

  /** Marks the place that is chosen. */
  choose(place: number): void {
    this.#cells.forEach((cell, at) => {
      cell.classList.toggle("chosen", at === place);
      if (cell instanceof HTMLButtonElement) {
        cell.ariaPressed = String(at === place);
        cell.tabIndex = at === place ? 0 : -1;
      }
    });
  }

  #move(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -GRID, ArrowDown: GRID }[event.key];
    if (step === undefined) return;
    const place = this.#cells.indexOf(document.activeElement as HTMLElement) + step;
    event.preventDefault();
    this.#cells[place]?.focus();
  }
}
