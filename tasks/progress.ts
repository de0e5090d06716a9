/** How far a training run is: a bar on a terminal, plain lines elsewhere. */
import type { Evaluation } from "../training/evaluation.ts";
import type { TrainingProgress } from "../training/trainer.ts";
import type { Output } from "./output.ts";

/** Of the bar, where the line has room for it. */
const BAR_WIDTH = 20;

/** What a run's progress is measured against. */
export interface RunSize {
  /** Epochs in the whole run. */
  readonly epochs: number;
  /** Images a step. */
  readonly batchSize: number;
  /** K. */
  readonly codebookSize: number;
}

/** Shows a run's progress as it comes. */
export class Progress {
  readonly #output: Output;
  readonly #run: RunSize;
  #drawn = false;

  /** Shows on an output. */
  constructor(output: Output, run: RunSize) {
    this.#output = output;
    this.#run = run;
  }

  /** Shows where the run is. */
  step(progress: TrainingProgress): void {
    const line = this.#line(progress);
    if (this.#output.isTerminal) {
      const room = this.#output.columns - line.length - 1;
      this.#output.redraw(`${bar(progress, Math.min(BAR_WIDTH, room))} ${line}`.trim());
      this.#drawn = true;
    } else {
      this.#output.say(line);
    }
  }

  /** Shows what an epoch came to. */
  epoch(epoch: number, { mse, psnr, usage, perplexity }: Evaluation): void {
    this.clear();
    const parts = [
      `epoch ${epoch} on the test images: mse ${mse.toPrecision(4)}`,
      `PSNR ${psnr.toFixed(2)} dB`,
      `usage ${(100 * usage).toFixed(1)} %`,
      `perplexity ${perplexity.toFixed(1)}`,
    ];
    this.#output.say(parts.join(", "));
  }

  /** Wipes the bar, so that other lines can follow. */
  clear(): void {
    if (this.#drawn) this.#output.redraw("");
    this.#drawn = false;
  }

  #line({ step, totalSteps, epoch, scalars, codesInUse, imagesPerSecond }: TrainingProgress) {
    const { epochs, batchSize, codebookSize } = this.#run;
    const left = (totalSteps - step) * batchSize / imagesPerSecond;
    return [
      `step ${step}/${totalSteps}`,
      `epoch ${epoch}/${epochs}`,
      `loss ${scalars.loss.toPrecision(4)}`,
      `${imagesPerSecond.toFixed(0)} images/s`,
      `${codesInUse}/${codebookSize} codes`,
      `${showDuration(left)} left`,
    ].join("  ");
  }
}

/** A bar of so many characters; none where there is no room. */
function bar({ step, totalSteps }: TrainingProgress, width: number): string {
  if (width < 1) return "";
  const filled = Math.round(width * step / totalSteps);
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
