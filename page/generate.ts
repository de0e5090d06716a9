/** The third part: generate digits, code by code or step by step. */
import { CodeGrid } from "./code_grid.ts";
import type { Codec } from "./codec.ts";
import { Turns } from "./device.ts";
import { find, make, nextFrame, type Part } from "./dom.ts";
import type { Maker, Making, Moment, StepSettings } from "./making.ts";
import { onThemeChange, paintImage, SIDE } from "./pictures.ts";

/** Number of samples that stay visible. */
const KEPT = 12;

/** Connects the controls.
 * @param makers the generators, by the value of `#by`
 */
export async function startGenerate(
  part: Part,
  makers: ReadonlyMap<string, Maker>,
  codec: Codec,
): Promise<void> {
  const button = find("#sample", HTMLButtonElement), by = find("#by", HTMLSelectElement);
  const classes = find("#class", HTMLSelectElement), seed = find("#seed", HTMLInputElement);
  const guidance = find("#guidance", HTMLInputElement);
  const temperature = find("#temperature", HTMLInputElement);
  const picture = find("#sampled", HTMLCanvasElement), gallery = find("#gallery", HTMLElement);
  const grid = new CodeGrid(find("#sample-codes", HTMLElement), codec.colours);
  const kept: { readonly canvas: HTMLCanvasElement; readonly image: Float32Array }[] = [];
  const steps = new Turns(), runs = new Turns();
  let making: Making | undefined, shown: Moment | undefined;
  let origin = { by: by.value, seed: seed.value }, taken = 0, isRunning = false;

  const maker = () => makers.get(by.value)!;
  const settings = (): StepSettings => ({
    guidance: guidance.disabled ? 1 : guidance.valueAsNumber,
    temperature: temperature.valueAsNumber,
  });
  const [{ classes: count }] = makers.values();
  classes.append(
    make("option", { value: String(count), textContent: "any" }),
    ...Array.from(
      { length: count },
      (_, digit) => make("option", { value: String(digit), textContent: String(digit) }),
    ),
  );

  function show(moment: Moment): void {
    shown = moment;
    grid.show(moment.codes, moment.changed);
    find("#drawn", HTMLElement).textContent = moment.progress;
    find("#note", HTMLElement).textContent = moment.note;
    paint();
    nameButton();
  }

  /** Redraws all images. */
  function paint(): void {
    if (shown !== undefined) paintImage(picture, shown.image);
    shown?.showOwn();
    for (const { canvas, image } of kept) paintImage(canvas, image);
  }

  function setRunning(wanted: boolean): void {
    isRunning = wanted;
    nameButton();
  }

  function nameButton(): void {
    button.textContent = isRunning ? "Pause" : taken === 0 ? "Generate" : "Continue";
  }

  /** Discards the unfinished picture. */
  function discard(): void {
    making?.[Symbol.dispose]();
    making = undefined;
    taken = 0;
  }

  async function begin(): Promise<void> {
    discard();
    origin = { by: by.value, seed: seed.value };
    making = maker().begin({ label: Number(classes.value), seed: seed.valueAsNumber });
    show(await making.first(settings()));
  }

  async function step(): Promise<void> {
    if (making === undefined) await begin();
    const moment = await making!.step(settings());
    taken++;
    show(moment);
    if (!moment.isLast) return;
    discard();
    setRunning(false);
    keep(moment);
    seed.valueAsNumber++;
  }

  /** Makes steps until paused or finished. */
  async function run(): Promise<void> {
    while (isRunning) {
      const pace = new Promise((resolve) => setTimeout(resolve, maker().pace));
      await steps.take(async () => {
        if (isRunning) await step();
      });
      await Promise.all([nextFrame(), pace]);
    }
  }

  /** Pauses, then runs an action on the picture. */
  const instead = (work: () => Promise<void> | void) =>
    part.does(async () => {
      setRunning(false);
      await steps.take(async () => await work());
    });

  /** Adds the image to the gallery. A click on it shows its codes again. */
  function keep(moment: Moment): void {
    const canvas = make("canvas", { width: SIDE, height: SIDE }), made = origin;
    const title = `Seed ${made.seed}`;
    const again = make("button", { type: "button", title });
    again.ariaLabel = `Show the picture of ${title.toLowerCase()} again`;
    again.append(canvas);
    again.onclick = instead(() => {
      discard();
      by.value = made.by;
      showControls();
      show(moment);
    });
    gallery.prepend(again);
    kept.unshift({ canvas, image: moment.image });
    if (kept.length > KEPT) gallery.lastElementChild!.remove();
    kept.splice(KEPT);
    paint();
    find("#gallery-title", HTMLElement).hidden = false;
  }

  /** Shows only the elements of the chosen generator. */
  function showControls(): void {
    for (const element of part.section.querySelectorAll<HTMLElement>("[data-by]")) {
      element.hidden = element.dataset.by !== by.value;
    }
  }

  button.onclick = part.does(async () => {
    setRunning(!isRunning);
    try {
      await runs.take(run);
    } catch (error) {
      setRunning(false);
      throw error;
    }
  });
  find("#one-step", HTMLButtonElement).onclick = instead(step);
  find("#discard", HTMLButtonElement).onclick = instead(begin);
  by.onchange = instead(async () => {
    showControls();
    await begin();
  });
  classes.onchange = instead(async () => {
    guidance.disabled = Number(classes.value) === count;
    await begin();
  });
  seed.onchange = instead(begin);
  showNumber(temperature, find("#temperature-value", HTMLOutputElement));
  showNumber(guidance, find("#guidance-value", HTMLOutputElement));
  guidance.disabled = true;
  showControls();
  onThemeChange(paint);
  await begin();
}

/** Shows the value of a slider beside it. */
function showNumber(slider: HTMLInputElement, output: HTMLOutputElement): void {
  const show = () => output.value = slider.valueAsNumber.toFixed(2);
  slider.oninput = show;
  show();
}
