/** How far a training run is: a bar on a terminal, plain lines elsewhere. */
import type { Phrase } from "../objectives/objective.ts";
import type { EpochSummary, TrainingProgress } from "../training/trainer.ts";
import type { Output } from "./output.ts";

/** Of the bar, where the line has room for it. */
const BAR_WIDTH = 20;
/** Of the bar on a narrow terminal: below it, parts of the line make room. */
const LEAST_BAR = 10;

/** What a run's progress is measured against. */
export interface RunSize {
  /** Epochs in the whole run. */
  readonly epochs: number;
  /** Images a step. */
  readonly batchSize: number;
}

/** Shows a run's progress as it comes. */
export class Progress {
  readonly #output: Output;
  readonly #run: RunSize;
  #drawn = false;
  #warned = false;

  /** Shows on an output. */
  constructor(output: Output, run: RunSize) {
    this.#output = output;
    this.#run = run;
  }

  /** Shows where the run is. */
  step(progress: TrainingProgress): void {
    const parts = this.#parts(progress);
    if (this.#output.isTerminal) {
      const line = fitLine(parts, this.#output.columns - LEAST_BAR - 1);
      const room = this.#output.columns - line.length - 1;
      this.#output.redraw(
        `${bar(progress.step / progress.totalSteps, Math.min(BAR_WIDTH, room))} ${line}`.trim(),
      );
      this.#drawn = true;
    } else {
      this.#output.say(fitLine(parts, Infinity));
    }
  }

  /** Shows what an epoch came to, with a warning where the epoch before had none. */
  epoch({ epoch, inspection: { summary, warning }, split, test }: EpochSummary): void {
    this.clear();
    const numbers = test.shown.map(([name, value]) => `${name} ${value}`);
    this.#output.say(`epoch ${epoch} on the ${split} images: ${numbers.join(", ")}`);
    this.#output.say(`epoch ${epoch} in training: ${summary.join(", ")}`);
    if (warning !== undefined && !this.#warned) this.#output.say(warning);
    this.#warned = warning !== undefined;
  }

  /** Wipes the bar, so that other lines can follow. */
  clear(): void {
    if (this.#drawn) this.#output.redraw("");
    this.#drawn = false;
  }

  #parts(
    { step, totalSteps, epoch, inspection, imagesPerSecond }: TrainingProgress,
  ): readonly Phrase[] {
    const { epochs, batchSize } = this.#run;
    const left = (totalSteps - step) * batchSize / imagesPerSecond;
    return [
      [`step ${step}/${totalSteps}`, 7],
      [`epoch ${epoch}/${epochs}`, 1],
      ...inspection.phrases,
      [`${imagesPerSecond.toFixed(0)} images/s`, 3],
      [`${showDuration(left)} left`, 6],
    ];
  }
}

/** The parts that fit in so many characters, in their order, two spaces between; at least the one that matters most. */
export function fitLine(parts: readonly Phrase[], width: number): string {
  let kept = parts;
  const line = () => kept.map(([text]) => text).join("  ");
  while (line().length > width && kept.length > 1) {
    const least = kept.reduce((a, b) => b[1] < a[1] ? b : a);
    kept = kept.filter((part) => part !== least);
  }
  return line();
}

/** A bar of so many characters; none where there is no room.
 * @param share how much of it is filled, in [0, 1]
 */
export function bar(share: number, width: number): string {
  if (width < 1) return "";
  const filled = Math.round(width * share);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** A duration as people read it: `0:07`, `12:34`, `1:02:03`.
 * @param seconds at least 0
 */
export function showDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = pad(whole % 60);
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${pad(minutes)}:${rest}`;
}
