/** Generates a digit step by step from noise, by latent diffusion. */
import {
  DdimSampler,
  denoise,
  type Device,
  type DiffusionModel,
  guide,
  type NoiseSchedule,
  type Prediction,
  type RandomKey,
  randomKey,
  sampleNoise,
  type Tensor,
  withoutGradients,
} from "@codebook/codebook/web";
import { GRID, PLACES } from "./code_grid.ts";
import { BLANK, type Codec } from "./codec.ts";
import type { Turns } from "./device.ts";
import { find, make } from "./dom.ts";
import type { Maker, Making, Moment, StepSettings, Wishes } from "./making.ts";
import { paintImage, SIDE } from "./pictures.ts";

/** Steps from noise to an image. */
const STEPS = 20;
/** Deterministic: no noise is added, so the initial noise determines the image. */
const SAMPLER = new DdimSampler(0);

/** A trained latent diffusion. */
export interface Diffusion {
  readonly model: DiffusionModel;
  /** The strength of the noise at each time. */
  readonly schedule: NoiseSchedule;
  /** What the network predicts. */
  readonly prediction: Prediction;
}

/** What all pictures by the diffusion share. */
interface Parts extends Diffusion {
  readonly classes: number;
  readonly codec: Codec;
  readonly device: Device;
  readonly turns: Turns;
}

/** Removes noise in steps. */
export class StepByStep implements Maker {
  readonly classes: number;
  readonly pace = 100;
  readonly #parts: Parts;
  readonly #film = new Film();

  /** Connects the diffusion to the page. */
  constructor(diffusion: Diffusion, codec: Codec, device: Device, turns: Turns) {
    this.classes = diffusion.model.denoiser.classes ?? 0;
    this.#parts = { ...diffusion, classes: this.classes, codec, device, turns };
  }

  /** Starts a picture from noise. */
  begin(wishes: Wishes): Making {
    return new Denoising(this.#parts, this.#film, wishes);
  }
}

class Denoising implements Making {
  readonly #parts: Parts;
  readonly #film: Film;
  readonly #label: number;
  readonly #key: RandomKey;
  readonly #times: readonly number[];
  #images: readonly Float32Array[] = [];
  #codes: Int32Array<ArrayBuffer> = new Int32Array(PLACES).fill(-1);
  /** The noisy latents, `[7, 7, channels]`. */
  #noisy: Float32Array<ArrayBuffer> = new Float32Array();

  constructor(parts: Parts, film: Film, { label, seed }: Wishes) {
    this.#parts = parts;
    this.#film = film;
    this.#label = label;
    this.#key = randomKey(seed, "page noise");
    this.#times = parts.schedule.walk(STEPS);
  }

  async first(): Promise<Moment> {
    const { device } = this.#parts;
    this.#noisy = await this.#take(() =>
      sampleNoise(device, { first: 0, count: 1 }, this.#shape, this.#key, 0).floats()
    );
    return this.#moment({ codes: this.#codes, changed: new Set(), image: BLANK, note: "" });
  }

  async step({ guidance }: StepSettings): Promise<Moment> {
    const { model, codec, device, schedule, prediction } = this.#parts;
    const taken = this.#images.length, time = this.#times[taken];
    const from = schedule.level(time), to = schedule.level(this.#times[taken + 1] ?? -1);
    const features = await this.#take(async () => {
      const [features, next] = withoutGradients(() => {
        const x = device.tensor(this.#noisy, [1, ...this.#shape]);
        const denoised = denoise(prediction, this.#predict(x, time, guidance), x, from);
        const next = SAMPLER.step({ x, denoised, from, to, random: () => x });
        return [model.latents!.decode(denoised.original), next];
      });
      this.#noisy = await next.floats();
      return await features.floats();
    });
    const before = this.#codes, codes = await codec.quantize(features);
    const image = await codec.decode(codes);
    this.#codes = codes;
    this.#images = [...this.#images, image];
    return this.#moment({
      codes,
      changed: new Set([...codes.keys()].filter((at) => codes[at] !== before[at])),
      image,
      note: `${(100 * to.sigma).toFixed(0)} % noise left`,
    });
  }

  get #shape(): readonly number[] {
    return [GRID, GRID, this.#parts.model.latents!.channels];
  }

  /** The prediction of the network, guided towards the class. */
  #predict(x: Tensor, time: number, guidance: number): Tensor {
    const { model: { denoiser }, classes, device } = this.#parts;
    const told = (label: number) => (x: Tensor, time: number) => {
      const labels = device.tensor(Int32Array.of(label), [1]);
      return denoiser.forward(x, [time], { training: false, key: this.#key, labels });
    };
    return guide(told(this.#label), told(classes), guidance)(x, time);
  }

  #take<T>(work: () => Promise<T>): Promise<T> {
    const { turns, device } = this.#parts;
    return turns.take(async () => {
      using _scope = device.scope();
      return await work();
    });
  }

  #moment(shown: Pick<Moment, "codes" | "changed" | "image" | "note">): Moment {
    const images = this.#images, taken = images.length;
    return {
      ...shown,
      progress: `step ${taken} of ${STEPS}`,
      isLast: taken === STEPS,
      showOwn: () => this.#film.show(images),
    };
  }

  [Symbol.dispose](): void {}
}

/** Shows the image after each step. */
class Film {
  readonly #frames: readonly HTMLCanvasElement[];

  constructor() {
    this.#frames = Array.from(
      { length: STEPS },
      () => make("canvas", { width: SIDE, height: SIDE }),
    );
    find("#film", HTMLElement).append(...this.#frames);
  }

  /** Shows the images so far. */
  show(images: readonly Float32Array[]): void {
    this.#frames.forEach((frame, at) => {
      paintImage(frame, images[at] ?? BLANK);
      frame.classList.toggle("current", at === images.length - 1);
    });
  }
}
