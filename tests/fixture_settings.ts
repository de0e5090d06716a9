/** The settings that a fixture of the reference implementation carries in its metadata. */
import type { Distance } from "../core/ops.ts";

/** Settings of a quantiser, in the terms of arXiv 2307.15139. */
export interface QuantizerSettings {
  /** How nearness is measured. */
  readonly distance: Distance;
  /** How anchors are sampled; with `none` the codebook is not re-anchored. */
  readonly anchor: "closest" | "none";
  /** Whether the contrastive loss is added. */
  readonly contrastive: boolean;
  /** β. */
  readonly beta: number;
  /** γ. */
  readonly decay: number;
  /** ε of α. */
  readonly epsilon: number;
  /** Of the contrastive loss. */
  readonly temperature: number;
}

/** Settings of a whole model and its training. */
export interface ModelSettings extends QuantizerSettings {
  /** Channels of the hidden layers. */
  readonly hidden: number;
  /** Channels inside the residual blocks. */
  readonly residualHidden: number;
  /** Blocks of each residual stack. */
  readonly residualLayers: number;
  /** K. */
  readonly codes: number;
  /** D. */
  readonly dim: number;
  /** Adam's learning rate. */
  readonly lr: number;
  /** Adam's decays. */
  readonly betas: readonly [number, number];
  /** Adam's ε. */
  readonly eps: number;
  /** v, the variance of the training images on the [0, 1] scale. */
  readonly dataVariance: number;
  /** Training steps. */
  readonly steps: number;
}

const QUANTIZER_KEYS = [
  "layout",
  "distance",
  "anchor",
  "contrastive",
  "beta",
  "decay",
  "epsilon",
  "temperature",
];

const MODEL_KEYS = [
  ...QUANTIZER_KEYS,
  ...["hidden", "residual_hidden", "residual_layers", "codes", "dim"],
  ...["lr", "betas", "eps", "data_variance", "steps"],
];

type Metadata = ReadonlyMap<string, string>;

function checkKeys(metadata: Metadata, known: readonly string[]): void {
  for (const key of metadata.keys()) {
    if (!known.includes(key)) {
      throw new RangeError(
        `Cannot read the fixture's settings: each must be one of ${known.join(", ")}, got ${key}`,
      );
    }
  }
}

function choice<T extends string>(metadata: Metadata, name: string, allowed: readonly T[]): T {
  const text = metadata.get(name);
  const found = allowed.find((value) => value === text);
  if (found !== undefined) return found;
  throw new RangeError(
    `Cannot read the fixture's settings: ${name} must be ${allowed.join(" or ")}, got ${
      text ?? "nothing"
    }`,
  );
}

function numbers(metadata: Metadata, name: string, otherwise?: string): number[] {
  const text = metadata.get(name) ?? otherwise;
  const values = text?.split(",").map((part) => part.trim() === "" ? NaN : Number(part)) ?? [NaN];
  if (values.every(Number.isFinite)) return values;
  throw new RangeError(
    `Cannot read the fixture's settings: ${name} must be a number, got ${text ?? "nothing"}`,
  );
}

function number(metadata: Metadata, name: string, otherwise?: string): number {
  const [value, ...rest] = numbers(metadata, name, otherwise);
  if (rest.length === 0) return value;
  throw new RangeError(`Cannot read the fixture's settings: ${name} must be one number`);
}

/** What the metadata may leave out has the value of arXiv 2307.15139. */
function quantizerPart(metadata: Metadata): QuantizerSettings {
  const contrastive = metadata.has("contrastive")
    ? choice(metadata, "contrastive", ["True", "False"]) === "True"
    : false;
  return {
    distance: choice(metadata, "distance", ["l2", "cos"]),
    anchor: choice(metadata, "anchor", ["closest", "none"]),
    contrastive,
    beta: number(metadata, "beta"),
    decay: number(metadata, "decay", "0.99"),
    epsilon: number(metadata, "epsilon", "0.001"),
    temperature: number(metadata, "temperature", "0.07"),
  };
}

/** The settings of one training call of a quantiser.
 * @throws {RangeError} a setting is unknown, missing, or has a value that cannot be reproduced
 */
export function quantizerSettings(metadata: Metadata): QuantizerSettings {
  checkKeys(metadata, QUANTIZER_KEYS);
  return quantizerPart(metadata);
}

/** The settings of a whole model.
 * @throws {RangeError} a setting is unknown, missing, or has a value that cannot be reproduced
 */
export function modelSettings(metadata: Metadata): ModelSettings {
  checkKeys(metadata, MODEL_KEYS);
  const [beta1, beta2, ...rest] = numbers(metadata, "betas");
  if (beta2 === undefined || rest.length > 0) {
    throw new RangeError("Cannot read the fixture's settings: betas must be two numbers");
  }
  return {
    ...quantizerPart(metadata),
    hidden: number(metadata, "hidden"),
    residualHidden: number(metadata, "residual_hidden"),
    residualLayers: number(metadata, "residual_layers"),
    codes: number(metadata, "codes"),
    dim: number(metadata, "dim"),
    lr: number(metadata, "lr"),
    betas: [beta1, beta2],
    eps: number(metadata, "eps"),
    dataVariance: number(metadata, "data_variance"),
    steps: number(metadata, "steps"),
  };
}
