/** The second part: a codebook that collapses, next to one that does not. */
import { type Device, permutation, type QuantizerConfig, randomKey } from "@codebook/codebook/web";
import type { Turns } from "./device.ts";
import { find, make, nextFrame, type Part } from "./dom.ts";
import { CODES, Learner, type Look } from "./learner.ts";
import { type Digits, onThemeChange, paintImage, PIXELS, SIDE } from "./pictures.ts";
import { Arena, drawCurves } from "./plots.ts";

/** A code counts as dead if it was not chosen in this many steps. */
const MEMORY = 20;
/** Batch size. */
const BATCH = 16;
/** The test digits whose reconstructions are shown, by index. */
const SHOWN = [1, 8, 15, 21, 30];
/** Steps between updates of the reconstructions. */
const REBUILD_EVERY = 10;
/** Steps per second at each position of the slider. The last one is effectively unlimited. */
const SPEEDS = [1, 2, 5, 10, 20, 40, 1000];
/** Longest time between redraws, in milliseconds. */
const FRAME = 40;
/** Weight of the latest batch in the running error. */
const SMOOTHING = 0.15;

/** The methods for the right side. All start with the same weights and codes as the left side. */
const METHODS: Readonly<Record<string, QuantizerConfig>> = {
  "this toolkit’s": {
    ...{ type: "clustered-ema", initialization: "uniform", normalization: "batch", decay: 0.9 },
  },
  "the paper’s": { type: "clustered", distance: "l2" },
};

/** One of the two models, with its plot and its numbers. */
class Side {
  /** Percentage of codes in use after each step, and before the first. */
  readonly usage: number[] = [];
  /** Running mean of the error, in the same order. */
  readonly error: number[] = [];
  readonly #article: HTMLElement;
  readonly #arena: Arena;
  readonly #strip: readonly HTMLCanvasElement[];
  readonly #lastChosen = new Int32Array(CODES);
  #learner: Learner | undefined;
  #look: Look | undefined;
  #rebuilt: Float32Array | undefined;

  constructor(id: string) {
    this.#article = find(`#${id}`, HTMLElement);
    this.#arena = new Arena(find(".arena", HTMLCanvasElement, this.#article));
    this.#strip = SHOWN.map(() => make("canvas", { width: SIDE, height: SIDE }));
    find(".strip", HTMLElement, this.#article).append(...this.#strip);
    this.#show(".size", String(CODES));
  }

  /** Creates a new model and evaluates it on a batch. */
  async begin(
    device: Device,
    settings: QuantizerConfig,
    seed: number,
    batch: Float32Array<ArrayBuffer>,
  ): Promise<void> {
    this.#learner?.[Symbol.dispose]();
    this.#learner = new Learner(device, settings, seed);
    this.#rebuilt = undefined;
    this.usage.length = this.error.length = 0;
    this.#lastChosen.fill(-MEMORY);
    this.#arena.reset();
    this.#take(await this.#learner.look(batch));
  }

  /** Trains on a batch. */
  async step(batch: Float32Array<ArrayBuffer>): Promise<void> {
    this.#take(await this.#learner!.step(batch));
  }

  #take(look: Look): void {
    const step = this.usage.length;
    look.usage.forEach((count, code) => {
      if (count > 0) this.#lastChosen[code] = step;
    });
    const before = this.error.at(-1) ?? look.error;
    this.error.push(before + SMOOTHING * (look.error - before));
    this.#look = look;
    this.usage.push(100 * this.#used(step) / CODES);
  }

  /** Reconstructs the test digits. */
  async rebuild(digits: Float32Array<ArrayBuffer>): Promise<void> {
    this.#rebuilt = await this.#learner!.rebuild(digits);
  }

  /** Redraws the plot, the numbers and the reconstructions. */
  draw(): void {
    const step = this.usage.length - 1;
    if (this.#look !== undefined) this.#arena.draw(this.#look, (code) => this.#isAlive(code, step));
    this.#show(".used", String(this.#used(step)));
    this.#show(".error", this.error.at(-1)?.toFixed(3) ?? "–");
    this.#strip.forEach((canvas, at) => {
      const own = this.#rebuilt?.subarray(at * PIXELS, (at + 1) * PIXELS);
      paintImage(canvas, own ?? new Float32Array(PIXELS).fill(-1));
    });
  }

  #isAlive(code: number, step: number): boolean {
    return this.#lastChosen[code] > step - MEMORY;
  }

  #used(step: number): number {
    return this.#lastChosen.reduce((sum, _, code) => sum + Number(this.#isAlive(code, step)), 0);
  }

  #show(selector: string, text: string): void {
    find(selector, HTMLElement, this.#article).textContent = text;
  }
}

/** Connects the controls. */
export async function startCollapse(
  part: Part,
  device: Device,
  turns: Turns,
  digits: Digits,
): Promise<void> {
  const train = find("#train", HTMLButtonElement), steps = find("#steps", HTMLOutputElement);
  const speed = find("#speed", HTMLInputElement), method = find("#method", HTMLSelectElement);
  method.append(...Object.keys(METHODS).map((name) => make("option", { textContent: name })));
  const left = new Side("left"), right = new Side("right");
  const shown = concatenate(SHOWN.map((at) => digits.test[at]));
  const stepsTaken = () => left.usage.length - 1;
  let seed = 1, isRunning = false;

  /** The batch of a step. Each epoch has a different order. */
  function batchOf(step: number): Float32Array<ArrayBuffer> {
    const perEpoch = Math.floor(digits.train.length / BATCH);
    const key = randomKey(seed, "batches", Math.floor(step / perEpoch));
    const first = step % perEpoch * BATCH;
    const order = permutation(key, digits.train.length).subarray(first, first + BATCH);
    return concatenate([...order].map((digit) => digits.train[digit]));
  }

  function draw(): void {
    left.draw();
    right.draw();
    steps.value = String(stepsTaken());
    const curves = (name: "usage" | "error") => [
      { values: left[name], colour: "--vanilla" },
      { values: right[name], colour: "--accent" },
    ];
    drawCurves(find("#usage-curve", HTMLCanvasElement), curves("usage"), 100);
    drawCurves(find("#error-curve", HTMLCanvasElement), curves("error"), 1);
  }

  const restart = (): Promise<void> =>
    turns.take(async () => {
      await left.begin(device, { type: "vanilla" }, seed, batchOf(0));
      await right.begin(device, METHODS[method.value], seed, batchOf(0));
      await rebuild();
      draw();
    });

  async function rebuild(): Promise<void> {
    await left.rebuild(shown);
    await right.rebuild(shown);
  }

  const step = (): Promise<void> =>
    turns.take(async () => {
      const batch = batchOf(stepsTaken());
      await left.step(batch);
      await right.step(batch);
      if (stepsTaken() % REBUILD_EVERY === 0) await rebuild();
    });

  /** Trains at the speed of the slider and redraws once per frame, until paused. */
  async function run(): Promise<void> {
    let due = 1, before = performance.now();
    while (isRunning) {
      const start = performance.now();
      const pace = SPEEDS[speed.valueAsNumber];
      due = Math.min(due + (start - before) / 1000 * pace, Math.max(1, pace));
      before = start;
      while (isRunning && due >= 1 && performance.now() - start < FRAME) {
        await step();
        due--;
      }
      draw();
      await nextFrame();
    }
  }

  function setRunning(wanted: boolean): void {
    isRunning = wanted;
    train.textContent = wanted ? "Pause" : "Train";
  }

  train.onclick = part.does(async () => {
    setRunning(!isRunning);
    try {
      if (isRunning) await run();
    } catch (error) {
      setRunning(false);
      throw error;
    }
  });
  find("#step", HTMLButtonElement).onclick = part.does(async () => {
    setRunning(false);
    await step();
    draw();
  });
  find("#restart", HTMLButtonElement).onclick = part.does(async () => {
    seed++;
    await restart();
  });
  method.onchange = part.does(restart);
  const showSpeed = () => {
    const pace = SPEEDS[speed.valueAsNumber];
    const words = pace === SPEEDS.at(-1) ? "full" : `${pace} a second`;
    find("#speed-value", HTMLOutputElement).value = words;
    speed.ariaValueText = words;
  };
  speed.oninput = showSpeed;
  showSpeed();
  onThemeChange(draw);
  new ResizeObserver(draw).observe(part.section);
  await restart();
}

function concatenate(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.length * PIXELS);
  parts.forEach((part, at) => all.set(part, at * PIXELS));
  return all;
}
