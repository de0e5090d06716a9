/** The progress of a training run: a bar on a terminal, otherwise plain lines. */
import type { Phrase } from "../objectives/objective.ts";
import type { EpochSummary, TrainingProgress } from "../training/trainer.ts";
import type { Output } from "./output.ts";

/** The width of the bar, if the line has room for it. */
const BAR_WIDTH = 20;
/** The smallest width of the bar. On a narrower terminal, parts of the line are left out. */
const LEAST_BAR = 10;

/** The size of a run, for its progress. */
export interface RunSize {
  /** Epochs in the whole run. */
  readonly epochs: number;
  /** Images per step. */
  readonly batchSize: number;
}

/** Shows the progress of a run. */
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

  /** Shows the current progress. */
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

  /** Shows the result of an epoch, with a warning if it is new since the epoch before. */
  epoch({ epoch, inspection: { summary, warning }, split, test }: EpochSummary): void {
    this.clear();
    const numbers = test.shown.map(([name, value]) => `${name} ${value}`);
    this.#output.say(`epoch ${epoch} on the ${split} images: ${numbers.join(", ")}`);
    this.#output.say(`epoch ${epoch} in training: ${summary.join(", ")}`);
    if (warning !== undefined && !this.#warned) this.#output.say(warning);
    this.#warned = warning !== undefined;
  }

  /** Clears the bar, so that other lines can follow. */
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

/** The parts that fit into a width, in their order, separated by two spaces; at least the most important one. */
export function fitLine(parts: readonly Phrase[], width: number): string {
  let kept = parts;
  const line = () => kept.map(([text]) => text).join("  ");
  while (line().length > width && kept.length > 1) {
    const least = kept.reduce((a, b) => b[1] < a[1] ? b : a);
    kept = kept.filter((part) => part !== least);
  }
  return line();
}

/** A bar of a given width; empty if there is no room.
 * @param share how much of it is filled, in [0, 1]
 */
export function bar(share: number, width: number): string {
  if (width < 1) return "";
  const filled = Math.round(width * share);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** Formats a duration: `0:07`, `12:34`, `1:02:03`.
 * @param seconds at least 0
 */
export function showDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = pad(whole % 60);
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${pad(minutes)}:${rest}`;
}
