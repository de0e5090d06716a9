/** How far a training run is: a bar on a terminal, plain lines elsewhere. */
import type { QuantizerConfig } from "../quantizers/registry.ts";
import { collapseWarning } from "../training/codebook_watch.ts";
import type { EpochSummary, TrainingProgress } from "../training/trainer.ts";
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
  /** The quantiser's settings. */
  readonly quantizer: QuantizerConfig;
}

/** Shows a run's progress as it comes. */
export class Progress {
  readonly #output: Output;
  readonly #run: RunSize;
  #drawn = false;
  #collapsed = false;

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

  /** Shows what an epoch came to, with a warning when the codebook has collapsed since the last one. */
  epoch({ epoch, train, codebook, test }: EpochSummary): void {
    this.clear();
    const { codebookSize, quantizer } = this.#run;
    const { codesInUse, deadCodes, deadSteps, codeLength } = codebook;
    const dead = deadSteps === null ? "" : ` for ${deadSteps.toFixed(0)} steps`;
    this.#output.say([
      `epoch ${epoch} on the test images: mse ${test.mse.toPrecision(4)}`,
      `PSNR ${test.psnr.toFixed(2)} dB`,
      `usage ${(100 * test.usage).toFixed(1)} %`,
      `perplexity ${test.perplexity.toFixed(1)}`,
    ].join(", "));
    this.#output.say([
      `epoch ${epoch} in training: ${codesInUse} of ${codebookSize} codes chosen`,
      `perplexity ${codebook.perplexity.toFixed(1)}`,
      `${deadCodes} dead${dead}`,
      `${(100 * train.moved).toFixed(1)} % of the codes moved a step`,
      `features of length ${train.featureLength.toPrecision(3)}`,
      ...(codeLength === null ? [] : [`codes of length ${codeLength.toPrecision(3)}`]),
    ].join(", "));
    if (codebook.collapsed && !this.#collapsed) {
      this.#output.say(collapseWarning(codebook, codebookSize, quantizer));
    }
    this.#collapsed = codebook.collapsed;
  }

  /** Wipes the bar, so that other lines can follow. */
  clear(): void {
    if (this.#drawn) this.#output.redraw("");
    this.#drawn = false;
  }

  #line({ step, totalSteps, epoch, scalars, codebook, imagesPerSecond }: TrainingProgress) {
    const { epochs, batchSize, codebookSize } = this.#run;
    const { codesInUse, deadCodes, perplexity } = codebook;
    const left = (totalSteps - step) * batchSize / imagesPerSecond;
    return [
      `step ${step}/${totalSteps}`,
      `epoch ${epoch}/${epochs}`,
      `loss ${scalars.loss.toPrecision(4)}`,
      `${imagesPerSecond.toFixed(0)} images/s`,
      `${codesInUse}/${codebookSize} codes${deadCodes > 0 ? `, ${deadCodes} dead` : ""}`,
      `perplexity ${perplexity.toFixed(1)}`,
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
