/** What a code makes of its place, and the codes that could stand there instead. */
import { nearestCodes } from "./code_colours.ts";
import { GRID } from "./code_grid.ts";
import { type Codec, PATCH_SIDE, patchOf } from "./codec.ts";
import { find, make } from "./dom.ts";
import { onThemeChange, paintImage, PIXELS } from "./pictures.ts";

/** Which codes are offered, by their rank among the others from the nearest on. */
const OFFERED = [0, 1, 2, 4, 7, 11, 17, 26, 40, 60, 90, 130, 190, 280, 400];
/** How long the picture must rest before others are offered, in milliseconds. */
const REST = 120;

/** Shows a place and its code, and beside it what other codes would make of the place, each a button. */
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

  /** Fills the page's palette.
   * @param onReplace a code was chosen for the place that others are offered for
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

  /** Shows a place of a picture and its code. */
  show(place: number, code: number, image: Float32Array): void {
    const row = Math.floor(place / GRID) + 1, column = place % GRID + 1;
    const number = make("b", { textContent: `Code ${code}` });
    this.#words.replaceChildren(number, `row ${row}, column ${column}`);
    this.#shown = patchOf(image, place);
    this.#patch.style.borderColor = this.#codec.colours[code].ground;
    paintImage(this.#patch, this.#shown);
  }

  /** Offers other codes for a place, once the picture has not changed for a while. */
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
