/** A grid that shows codes as numbers on coloured cells. */
import type { CodeColour } from "./code_colours.ts";
import { make } from "./dom.ts";

/** Number of rows and columns. */
export const GRID = 7;
/** Number of codes in a digit. */
export const PLACES: number = GRID * GRID;

/** Callbacks of a grid. */
export interface GridListeners {
  /** The user has selected a cell. */
  readonly onChoose: (place: number) => void;
  /** The pointer or the keyboard focus has entered a cell, or left it (`undefined`). */
  readonly onPoint: (place: number | undefined) => void;
}

/** Shows the codes of an image, row by row. With listeners, the cells are buttons, and the arrow keys move between them. */
export class CodeGrid {
  readonly #cells: readonly HTMLElement[];
  readonly #colours: readonly CodeColour[];

  /** Creates the cells inside an element. */
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

  /** Shows codes. −1 means a code that is not known yet.
   * @param changed the cells to mark as changed
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

  /** Marks a cell as selected. */
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
