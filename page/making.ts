/** The interface of the generators: each makes a picture in steps. */

/** The settings of a picture. */
export interface Wishes {
  /** The digit; the number of classes stands for any. */
  readonly label: number;
  /** The seed of the random numbers. */
  readonly seed: number;
}

/** The settings that may change from step to step. */
export interface StepSettings {
  /** The scale of guidance: 1 for none. */
  readonly guidance: number;
  /** Of codes that are drawn one by one. */
  readonly temperature: number;
}

/** What there is after a step, or before the first. */
export interface Moment {
  /** `[49]`; −1 stands for a code that is not known yet. */
  readonly codes: Int32Array<ArrayBuffer>;
  /** The positions of the codes that the step changed. */
  readonly changed: ReadonlySet<number>;
  /** The image that the codes make, `[28, 28]`. */
  readonly image: Float32Array<ArrayBuffer>;
  /** How far the picture is. */
  readonly progress: string;
  /** A number about the image. */
  readonly note: string;
  /** Whether the picture is finished. */
  readonly isLast: boolean;
  /** Shows what the generator itself has to show. */
  readonly showOwn: () => void;
}

/** A picture in the making. */
export interface Making extends Disposable {
  /** Computes the state before the first step. To be called once, and first. */
  first(settings: StepSettings): Promise<Moment>;
  /** Makes a step. */
  step(settings: StepSettings): Promise<Moment>;
}

/** A generator in the page. */
export interface Maker {
  /** The number of classes. */
  readonly classes: number;
  /** The shortest time between two steps in milliseconds. */
  readonly pace: number;
  /** Begins a picture. */
  begin(wishes: Wishes): Making;
}
