/** Monitors codebook usage in training, and detects codebook collapse. */
import { assign, withoutGradients } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { add, greater, sqrt, square, where } from "../core/functions/elementwise.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { codebookUse } from "../metrics/codebook.ts";
import { Module } from "../nn/module.ts";
import type { Quantizer } from "../quantizers/quantizer.ts";
import { DEFAULT_QUANTIZER, type QuantizerConfig } from "../quantizers/registry.ts";

/** The state of a codebook in training. */
export interface CodebookHealth {
  /** Codes chosen at least once in this epoch so far. */
  readonly codesInUse: number;
  /** The perplexity of the counts of this epoch so far, in [1, K]. */
  readonly perplexity: number;
  /** Dead codes: those not chosen for at least as many steps as an epoch has. */
  readonly deadCodes: number;
  /** The mean number of steps since the dead codes were last chosen; `null` without dead codes. */
  readonly deadSteps: number | null;
  /** The mean length of the codes; `null` for a method without a codebook. */
  readonly codeLength: number | null;
  /** Whether less than a quarter of the codes was chosen in this epoch so far, or the perplexity is less than a tenth
   * of the number of codes. If there are fewer features than codes, the number of features counts instead. */
  readonly collapsed: boolean;
}

/** The mean length of vectors `[..., D]`, a scalar. */
export function meanLength(vectors: Tensor): Tensor {
  return mean(sqrt(sum(square(vectors), -1)));
}

/** Counts, on the device, how often each code is chosen in an epoch, and how many steps ago it was last chosen.
 *
 * ```ts
 * import { CodebookWatch, openDevice, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const options = { codebookSize: 4, codebookDim: 2, key: randomKey(1, "codebook") };
 * const quantizer = new VanillaQuantizer(device, options);
 * const watch = new CodebookWatch(device, 4, 1);
 * watch.add(device.tensor(Int32Array.of(8, 8, 0, 0), [4]));
 * console.log(await watch.read(quantizer)); // 2 codes in use, perplexity 2, 2 dead codes
 * ```
 */
export class CodebookWatch extends Module {
  /** int32 `[K]`: how often each code was chosen in this epoch so far. */
  readonly epochUsage: Tensor;
  /** int32 `[K]`: steps since each code was last chosen, or since the start of the run. */
  readonly ages: Tensor;
  readonly #stepsPerEpoch: number;

  /** Starts watching.
   * @param stepsPerEpoch a code that was not chosen for this many steps counts as dead
   */
  constructor(device: Device, codebookSize: number, stepsPerEpoch: number) {
    super();
    this.#stepsPerEpoch = stepsPerEpoch;
    this.epochUsage = zeros(device, [codebookSize], "int32");
    this.ages = zeros(device, [codebookSize], "int32");
  }

  /** Adds the counts of a step. It reads nothing back from the device.
   * @param usage int32 `[K]`
   */
  add(usage: Tensor): void {
    using _scope = usage.device.scope();
    assign(this.epochUsage, add(this.epochUsage, usage));
    assign(this.ages, where(greater(usage, 0), 0, add(this.ages, 1)));
  }

  /** Starts the next epoch. */
  nextEpoch(): void {
    using _scope = this.epochUsage.device.scope();
    assign(this.epochUsage, zeros(this.epochUsage.device, this.epochUsage.shape, "int32"));
  }

  /** Reads the state of the codebook.
   * @throws {RangeError} no step was counted in this epoch
   */
  async read(quantizer: Quantizer): Promise<CodebookHealth> {
    using _scope = this.ages.device.scope();
    const length = withoutGradients(() => {
      const codes = quantizer.codes();
      return codes === undefined ? undefined : meanLength(codes);
    });
    const [usage, ages, codeLength = null] = await Promise.all([
      this.epochUsage.integers(),
      this.ages.integers(),
      length?.item(),
    ]);
    const codesInUse = usage.filter((count) => count > 0).length;
    const { perplexity } = codebookUse(usage);
    const usable = Math.min(usage.length, usage.reduce((total, count) => total + count));
    const dead = ages.filter((age) => age >= this.#stepsPerEpoch);
    return {
      codesInUse,
      perplexity,
      deadCodes: dead.length,
      deadSteps: dead.length === 0 ? null : dead.reduce((total, age) => total + age) / dead.length,
      codeLength,
      collapsed: codesInUse < usable / 4 || perplexity < usable / 10,
    };
  }
}

/** Remedies for a collapsed codebook: each in words, and as a setting with its values without and with the remedy. */
const REMEDIES = [
  ["feature normalisation", "normalization", "none", "batch"],
  ["replacement of dead codes by features", "replaceBelow", 0, 1],
  ["k-means initialisation of the codes", "initialization", "uniform", "kmeans"],
  ["a lookup in fewer dimensions", "lookupDim", null, 8],
] as const;

/** The warning for a collapsed codebook. It suggests the remedies that the quantiser supports and does not use yet.
 * @param codebookSize K
 * @param settings the quantiser's settings in a configuration
 */
export function collapseWarning(
  { codesInUse, perplexity, deadCodes }: CodebookHealth,
  codebookSize: number,
  settings: QuantizerConfig,
): string {
  const ways = [
    ...(settings.type === DEFAULT_QUANTIZER
      ? []
      : [`another method (--quantizer.type ${DEFAULT_QUANTIZER})`]),
    ...REMEDIES.filter(([, setting, without]) => settings[setting] === without)
      .map(([what, setting, , value]) => `${what} (--quantizer.${setting} ${value})`),
    "fewer codes",
  ];
  return `the codebook has collapsed: ${codesInUse} of ${codebookSize} codes were chosen in this epoch, with a perplexity of ${
    perplexity.toFixed(1)
  }, and ${deadCodes} are dead; things to try: ${ways.join(", ")}`;
}
