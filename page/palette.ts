/** Shows the patch of a code, and the codes that could replace it. */
import { nearestCodes } from "./code_colours.ts";
import { GRID } from "./code_grid.ts";
import { type Codec, PATCH_SIDE, patchOf } from "./codec.ts";
import { find, make } from "./dom.ts";
import { onThemeChange, paintImage, PIXELS } from "./pictures.ts";

/** The offered codes, by their rank in distance from the current one. */
const OFFERED = [0, 1, 2, 4, 7, 11, 17, 26, 40, 60, 90, 130, 190, 280, 400];
/** Delay before the offer is updated after a change, in milliseconds. */
const REST = 120;

/** Shows the patch of a code, and a button for each replacement with the patch that it would give. */
export class Palette {
  readonly #codec: Codec;
  readonly #onReplace: (code: number) => void;
  readonly #patch = find("#patch", HTMLCanvasElement);
  readonly #words = find("#chosen", HTMLElement);
  readonly #number = find("#any", HTMLInputElement);
  readonly #buttons: readonly HTMLButtonElement[];
  #offered: readonly { readonly code: number; readonly patch: Float32Array }[] = [];
  #shown: Float32Array | undefined;
  #offers = 0;

  /** Creates the buttons.
   * @param onReplace called with the replacement that the user has chosen
   */
  constructor(codec: Codec, onReplace: (code: number) => void) {
    this.#codec = codec;
    this.#onReplace = onReplace;
    this.#buttons = Array.from({ length: OFFERED.length }, (_, at) => {
      const button = make("button", { type: "button" });
      button.append(make("canvas", { width: PATCH_SIDE, height: PATCH_SIDE }), make("span"));
      button.onclick = () => onReplace(this.#offered[at].code);
      return button;
    });
    find("#palette", HTMLElement).append(...this.#buttons);
    this.#number.max = String(codec.codes.size - 1);
    this.#number.onchange = () => this.#takeNumber();
    onThemeChange(() => this.#paint());
  }

  /** Shows the code and the patch at a position. */
  show(place: number, code: number, image: Float32Array): void {
    const row = Math.floor(place / GRID) + 1, column = place % GRID + 1;
    const number = make("b", { textContent: `Code ${code}` });
    this.#words.replaceChildren(number, `row ${row}, column ${column}`);
    this.#shown = patchOf(image, place);
    this.#patch.style.borderColor = this.#codec.colours[code].ground;
    paintImage(this.#patch, this.#shown);
  }

  /** Offers replacements for the code at a position, once there has been no change for a moment. */
  async offer(place: number, codes: Int32Array): Promise<void> {
    const own = ++this.#offers;
    await new Promise((resolve) => setTimeout(resolve, REST));
    if (own !== this.#offers) return;
    const byDistance = nearestCodes(this.#codec.codes, codes[place]);
    const others = OFFERED.map((rank) => byDistance[rank]);
    const pictures = new Int32Array(others.length * codes.length);
    others.forEach((code, at) => {
      pictures.set(codes, at * codes.length);
      pictures[at * codes.length + place] = code;
    });
    const images = await this.#codec.decode(pictures);
    if (own !== this.#offers) return;
    this.#offered = others.map((code, at) => ({
      code,
      patch: patchOf(images.subarray(at * PIXELS, (at + 1) * PIXELS), place),
    }));
    this.#number.value = String(codes[place]);
    this.#paint();
  }

  #paint(): void {
    if (this.#shown !== undefined) paintImage(this.#patch, this.#shown);
    for (const [at, { code, patch }] of this.#offered.entries()) {
      const button = this.#buttons[at];
      paintImage(find("canvas", HTMLCanvasElement, button), patch);
      find("span", HTMLElement, button).textContent = String(code);
      button.style.borderColor = this.#codec.colours[code].ground;
      button.ariaLabel = `Code ${code}`;
    }
  }

  #takeNumber(): void {
    const { value, max } = this.#number, code = Number(value);
    const isCode = value !== "" && Number.isInteger(code) && code >= 0 && code <= Number(max);
    this.#number.setCustomValidity(isCode ? "" : `Codes are whole numbers from 0 to ${max}`);
    if (this.#number.reportValidity()) this.#onReplace(code);
  }
}
