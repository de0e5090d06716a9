/** The first part: draw a digit and change its codes. */
import { CodeGrid, GRID, PLACES } from "./code_grid.ts";
import { type Codec, meanSquaredDifference } from "./codec.ts";
import { find, make, type Part } from "./dom.ts";
import { Palette } from "./palette.ts";
import { digitOf, type Digits, onThemeChange, paintImage, SIDE } from "./pictures.ts";
import { Sketch } from "./sketch.ts";

/** The test digits that serve as examples, by index. */
const EXAMPLES = [8, 1, 11, 15, 21, 30];

/** Connects the controls. */
export async function startDraw(part: Part, codec: Codec, digits: Digits): Promise<void> {
  const rebuilt = find("#rebuilt", HTMLCanvasElement);
  const undo = find("#undo", HTMLButtonElement);
  const first = digits.test[EXAMPLES[0]];
  let encoded = await codec.encode(first), codes = encoded.slice();
  let image = await codec.decode(codes);
  let chosen = Math.floor(PLACES / 2);

  const frame = find("#draw-codes", HTMLElement);
  const grid = new CodeGrid(frame, codec.colours, {
    onChoose: (place) => {
      chosen = place;
      grid.choose(place);
      point(place);
      offer();
    },
    onPoint: (place) => point(place ?? chosen),
  });
  const palette = new Palette(
    codec,
    part.does(async (code) => {
      codes[chosen] = code;
      await show();
    }),
  );
  const offer = part.does(() => palette.offer(chosen, codes));

  /** Decodes the codes and shows the result. */
  async function show(): Promise<void> {
    const changed = new Set([...codes.keys()].filter((at) => codes[at] !== encoded[at]));
    image = await codec.decode(codes);
    grid.show(codes, changed);
    paintImage(rebuilt, image);
    undo.disabled = changed.size === 0;
    const error = meanSquaredDifference(image, sketch.values);
    find("#draw-error", HTMLElement).textContent = `error ${error.toFixed(3)}`;
    point(chosen);
    offer();
  }

  /** Marks the position of a code in both images and shows its patch. */
  function point(place: number): void {
    for (const mark of part.section.querySelectorAll<HTMLElement>(".place")) {
      mark.hidden = false;
      mark.style.left = `${place % GRID / GRID * 100}%`;
      mark.style.top = `${Math.floor(place / GRID) / GRID * 100}%`;
    }
    palette.show(place, codes[place], image);
  }

  let isStale = false;
  /** Encodes the drawing. Changes made in the meantime are encoded together afterwards. */
  const encode = part.does(async () => {
    isStale = true;
    if (frame.ariaBusy === "true") return;
    frame.ariaBusy = "true";
    try {
      while (isStale) {
        isStale = false;
        encoded = await codec.encode(sketch.values);
        codes = encoded.slice();
        await show();
      }
    } finally {
      frame.ariaBusy = "false";
    }
  });
  const sketch = new Sketch(find("#pad-frame", HTMLElement), encode);

  find("#clear", HTMLButtonElement).onclick = () => sketch.clear();
  undo.onclick = part.does(async () => {
    codes = encoded.slice();
    await show();
  });
  const examples = find("#examples", HTMLElement);
  for (const [number, at] of EXAMPLES.entries()) {
    const image = digits.test[at];
    const button = make("button", { type: "button", ariaLabel: `Example ${number + 1}` });
    const canvas = make("canvas", { width: SIDE, height: SIDE });
    const paint = () => paintImage(canvas, image);
    paint();
    onThemeChange(paint);
    button.append(canvas);
    button.onclick = () => sketch.load(image);
    examples.append(button);
  }
  onThemeChange(() => paintImage(rebuilt, image));
  takeFiles(part, (image) => sketch.load(image));

  sketch.load(first);
  grid.choose(chosen);
}

/** Loads images that the user opens or drops on the page. */
function takeFiles(part: Part, onImage: (image: Float32Array<ArrayBuffer>) => void): void {
  const open = find("#open", HTMLInputElement);
  const take = part.does(async (file: File | undefined) => {
    if (file !== undefined) onImage(await digitOf(file));
  });
  open.onchange = () => {
    take(open.files?.[0]);
    open.value = "";
  };
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    take(event.dataTransfer?.files[0]);
  };
}
