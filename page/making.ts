/** The interface of the generators. Each makes a picture in steps. */

/** The settings of a picture. */
export interface Wishes {
  /** The digit; the number of classes means any digit. */
  readonly label: number;
  /** The seed of the random numbers. */
  readonly seed: number;
}

/** The settings that may change from step to step. */
export interface StepSettings {
  /** The guidance scale; 1 means no guidance. */
  readonly guidance: number;
  /** The temperature of codes that are drawn one by one. */
  readonly temperature: number;
}

/** The state after a step, or before the first one. */
export interface Moment {
  /** `[49]`; −1 means a code that is not known yet. */
  readonly codes: Int32Array<ArrayBuffer>;
  /** The positions of the codes that the step changed. */
  readonly changed: ReadonlySet<number>;
  /** The image decoded from the codes, `[28, 28]`. */
  readonly image: Float32Array<ArrayBuffer>;
  /** The progress, as text. */
  readonly progress: string;
  /** A number about the image. */
  readonly note: string;
  /** Whether the picture is finished. */
  readonly isLast: boolean;
  /** Shows the elements specific to the generator. */
  readonly showOwn: () => void;
}

/** An unfinished picture. */
export interface Making extends Disposable {
  /** Computes the state before the first step. Must be called once, before anything else. */
  first(settings: StepSettings): Promise<Moment>;
  /** Runs a step. */
  step(settings: StepSettings): Promise<Moment>;
}

/** A generator in the page. */
export interface Maker {
  /** The number of classes. */
  readonly classes: number;
  /** The shortest time between two steps in milliseconds. */
  readonly pace: number;
  /** Starts a picture. */
  begin(wishes: Wishes): Making;
}
