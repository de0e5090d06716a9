/** The third part: generate digits code by code. */
import {
  chooseCode,
  type CodeTransformer,
  type Device,
  guidedLogits,
  reshape,
  type StackCache,
  withoutGradients,
} from "@codebook/codebook/web";
import { CodeGrid, PLACES } from "./code_grid.ts";
import { BLANK, type Codec } from "./codec.ts";
import type { Turns } from "./device.ts";
import { find, make, type Part } from "./dom.ts";
import { onThemeChange, paintImage, SIDE } from "./pictures.ts";

/** Number of codes in the list of the likeliest. */
const LISTED = 8;
/** Number of samples that stay visible. */
const KEPT = 12;

/** The input of one step of the transformer: the class at the start, the previous code afterwards. */
interface Input {
  readonly label?: number;
  readonly code?: number;
}

/** Connects the controls. */
export async function startGenerate(
  part: Part,
  model: CodeTransformer,
  codec: Codec,
  device: Device,
  turns: Turns,
): Promise<void> {
  const button = find("#sample", HTMLButtonElement), classes = find("#class", HTMLSelectElement);
  const temperature = find("#temperature", HTMLInputElement);
  const guidance = find("#guidance", HTMLInputElement);
  const picture = find("#sampled", HTMLCanvasElement), gallery = find("#gallery", HTMLElement);
  const grid = new CodeGrid(find("#sample-codes", HTMLElement), codec.colours);
  const guesses = new Guesses(codec);
  const kept: { readonly canvas: HTMLCanvasElement; readonly image: Float32Array }[] = [];
  let shown: Float32Array = BLANK, running: AbortController | undefined;

  classes.append(
    make("option", { value: String(model.classes), textContent: "any" }),
    ...Array.from(
      { length: model.classes },
      (_, digit) => make("option", { value: String(digit), textContent: String(digit) }),
    ),
  );

  /** Shows the codes so far. The decoder gets the codes of a blank image for the missing ones. */
  async function show(codes: Int32Array<ArrayBuffer>, bits: number): Promise<void> {
    const count = codes.findIndex((code) => code < 0), drawn = count < 0 ? PLACES : count;
    shown = await codec.decode(codes.map((code, place) => code < 0 ? codec.blank[place] : code));
    grid.show(codes);
    grid.choose(drawn);
    paintImage(picture, shown);
    find("#drawn", HTMLElement).textContent = `${drawn} of ${PLACES}`;
    find("#bits", HTMLElement).textContent = drawn === 0 ? "" : `${bits.toFixed(0)} bits`;
  }

  /** The logits of the next code, guided towards the class. */
  const logitsOf = (cache: StackCache, input: Input): Promise<Float32Array<ArrayBuffer>> =>
    turns.take(async () => {
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
          cache,
        );
        const [rows, , width] = features.shape;
        const logits = model.logits(reshape(features, [rows, width]));
        return guidedLogits(logits, guidance.valueAsNumber);
      });
      return await logits.floats();
    });

  async function sample(signal: AbortSignal): Promise<void> {
    const settings = { temperature: temperature.valueAsNumber, topK: null, topP: null };
    const codes = new Int32Array(PLACES).fill(-1);
    using cache = model.cache();
    let bits = 0, input: Input = { label: Number(classes.value) };
    await show(codes, bits);
    for (let place = 0; place < PLACES; place++) {
      const logits = await logitsOf(cache, input);
      if (signal.aborted) return;
      const { code, logProbability } = chooseCode(logits, settings, Math.random());
      codes[place] = code;
      bits -= logProbability / Math.LN2;
      input = { code };
      guesses.show(logits, code);
      await show(codes, bits);
      await new Promise(requestAnimationFrame);
      if (signal.aborted) return;
    }
    keep(codes);
  }

  /** Redraws all images. */
  function paint(): void {
    paintImage(picture, shown);
    for (const { canvas, image } of kept) paintImage(canvas, image);
  }

  /** Adds the image to the gallery. A click on it shows its codes again. */
  function keep(codes: Int32Array<ArrayBuffer>): void {
    const image = shown, canvas = make("canvas", { width: SIDE, height: SIDE });
    const again = make("button", { type: "button", ariaLabel: "Show this picture’s codes" });
    again.append(canvas);
    again.onclick = () => {
      running?.abort();
      shown = image;
      grid.show(codes);
      grid.choose(PLACES);
      paintImage(picture, image);
    };
    gallery.prepend(again);
    kept.unshift({ canvas, image });
    if (kept.length > KEPT) gallery.lastElementChild!.remove();
    kept.splice(KEPT);
    paint();
    find("#gallery-title", HTMLElement).hidden = false;
  }

  button.onclick = part.does(async () => {
    if (running !== undefined) return running.abort();
    running = new AbortController();
    button.textContent = "Stop";
    try {
      await sample(running.signal);
    } finally {
      running = undefined;
      button.textContent = "Generate";
    }
  });
  showNumber(temperature, find("#temperature-value", HTMLOutputElement));
  showNumber(guidance, find("#guidance-value", HTMLOutputElement));
  classes.onchange = () => guidance.disabled = Number(classes.value) === model.classes;
  guidance.disabled = true;
  onThemeChange(paint);
  await show(new Int32Array(PLACES).fill(-1), 0);
  using cache = model.cache();
  guesses.show(await logitsOf(cache, { label: model.classes }));
}

/** Shows the value of a slider beside it. */
function showNumber(slider: HTMLInputElement, output: HTMLOutputElement): void {
  const show = () => output.value = slider.valueAsNumber.toFixed(2);
  slider.oninput = show;
  show();
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
