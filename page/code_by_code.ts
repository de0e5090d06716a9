/** Generates a digit code by code, with a transformer. */
import {
  chooseCode,
  type CodeTransformer,
  type Device,
  drawOf,
  guidedLogits,
  type RandomKey,
  randomKey,
  reshape,
  type StackCache,
  withoutGradients,
} from "@codebook/codebook/web";
import { PLACES } from "./code_grid.ts";
import { BLANK, type Codec } from "./codec.ts";
import type { Turns } from "./device.ts";
import { find, make } from "./dom.ts";
import type { Maker, Making, Moment, StepSettings, Wishes } from "./making.ts";

/** Number of codes in the list of likely next codes. */
const LISTED = 8;

/** The input of one step of the transformer: the class at the start, the previous code afterwards. */
interface Input {
  readonly label?: number;
  readonly code?: number;
}

/** What all pictures by the transformer share. */
interface Parts {
  readonly model: CodeTransformer;
  readonly codec: Codec;
  readonly device: Device;
  readonly turns: Turns;
}

/** Draws one code after another. */
export class CodeByCode implements Maker {
  readonly classes: number;
  readonly pace = 0;
  readonly #parts: Parts;
  readonly #guesses: Guesses;

  /** Connects the transformer to the page. */
  constructor(model: CodeTransformer, codec: Codec, device: Device, turns: Turns) {
    this.classes = model.classes;
    this.#parts = { model, codec, device, turns };
    this.#guesses = new Guesses(codec);
  }

  /** Starts a picture without codes. */
  begin(wishes: Wishes): Making {
    return new CodesSoFar(this.#parts, this.#guesses, wishes);
  }
}

class CodesSoFar implements Making {
  readonly #parts: Parts;
  readonly #guesses: Guesses;
  readonly #label: number;
  readonly #key: RandomKey;
  readonly #cache: StackCache;
  readonly #codes: Int32Array<ArrayBuffer> = new Int32Array(PLACES).fill(-1);
  #logits: Float32Array<ArrayBuffer> = new Float32Array();
  #drawn = 0;
  #bits = 0;

  constructor(parts: Parts, guesses: Guesses, { label, seed }: Wishes) {
    this.#parts = parts;
    this.#guesses = guesses;
    this.#label = label;
    this.#key = randomKey(seed, "page codes");
    this.#cache = parts.model.cache();
  }

  async first({ guidance }: StepSettings): Promise<Moment> {
    this.#logits = await this.#logitsAfter({ label: this.#label }, guidance);
    return this.#moment(BLANK);
  }

  async step({ guidance, temperature }: StepSettings): Promise<Moment> {
    const { codec } = this.#parts, place = this.#drawn;
    if (place > 0) {
      this.#logits = await this.#logitsAfter({ code: this.#codes[place - 1] }, guidance);
    }
    const { chance } = drawOf(this.#key, 0, place);
    const { code, logProbability } = chooseCode(
      this.#logits,
      { temperature, topK: null, topP: null },
      chance,
    );
    this.#codes[place] = code;
    this.#bits -= logProbability / Math.LN2;
    this.#drawn++;
    // Missing codes are decoded as those of a blank image.
    const filled = this.#codes.map((code, at) => code < 0 ? codec.blank[at] : code);
    return this.#moment(await codec.decode(filled), code);
  }

  #moment(image: Float32Array<ArrayBuffer>, code?: number): Moment {
    const logits = this.#logits;
    return {
      codes: this.#codes.slice(),
      changed: new Set(),
      image,
      progress: `${this.#drawn} of ${PLACES}`,
      note: code === undefined ? "" : `${this.#bits.toFixed(0)} bits`,
      isLast: this.#drawn === PLACES,
      showOwn: () => this.#guesses.show(logits, code),
    };
  }

  /** The logits of the next code, guided towards the class. */
  #logitsAfter(input: Input, guidance: number): Promise<Float32Array<ArrayBuffer>> {
    const { model, device, turns } = this.#parts;
    return turns.take(async () => {
      using _scope = device.scope();
      const both = (first?: number, second = first) =>
        first === undefined ? undefined : Int32Array.of(first, second!);
      const labels = both(input.label, model.classes), codes = both(input.code);
      const logits = withoutGradients(() => {
        const features = model.forward(
          {
            labels: labels && device.tensor(labels, [2]),
            codes: codes && device.tensor(codes, [2, 1]),
          },
          undefined,
          this.#cache,
        );
        const [rows, , width] = features.shape;
        return guidedLogits(model.logits(reshape(features, [rows, width])), guidance);
      });
      return await logits.floats();
    });
  }

  [Symbol.dispose](): void {
    this.#cache[Symbol.dispose]();
  }
}

/** Lists the likeliest next codes with their probabilities. */
class Guesses {
  readonly #codec: Codec;
  readonly #rows: readonly HTMLElement[];

  constructor(codec: Codec) {
    this.#codec = codec;
    this.#rows = Array.from({ length: LISTED }, () => {
      const row = make("li");
      row.append(make("b"), make("i"), make("span"));
      return row;
    });
    find("#guesses", HTMLElement).append(...this.#rows);
  }

  /** Updates the list.
   * @param drawn the code to mark
   */
  show(logits: Float32Array, drawn?: number): void {
    const most = Math.max(...logits);
    const weights = logits.map((logit) => Math.exp(logit - most));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const likeliest = [...weights.keys()].sort((a, b) => weights[b] - weights[a]);
    this.#rows.forEach((row, at) => {
      const code = likeliest[at], share = weights[code] / total;
      const [number, bar, percent] = row.children as unknown as readonly HTMLElement[];
      number.textContent = String(code);
      bar.style.width = `${(share * 100).toFixed(1)}%`;
      bar.style.background = this.#codec.colours[code].ground;
      percent.textContent = `${(share * 100).toFixed(0)} %`;
      row.classList.toggle("drawn", code === drawn);
    });
  }
}
