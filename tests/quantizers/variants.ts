/** Every method in the registry, as it is by default and with every piece that it takes. */
import { parameter } from "../../core/execute.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import {
  createQuantizer,
  isComposite,
  QUANTIZER_TYPES,
  quantizerMethod,
} from "../../quantizers/registry.ts";
import { draw } from "../each_device.ts";

export const key = randomKey(3, "every method");
export const contextOf = (step = 0, training = true, mask?: Tensor) => ({
  training,
  key: { ...key, step },
  mask,
});

/** Every piece away from its default. */
const PIECES = {
  gradient: "rotation",
  initialization: "kmeans",
  unitLength: true,
  orthogonality: 0.5,
  replaceBelow: 2,
} as const;

/** Those of some settings that a method has. */
function taken(type: string, settings: Readonly<Record<string, unknown>>) {
  const { shape } = quantizerMethod(type).schema;
  return Object.fromEntries(Object.entries(settings).filter(([name]) => name in shape));
}

export interface Variant {
  readonly name: string;
  readonly make: (device: Device, codebookSize?: number, seed?: number) => Quantizer;
}

/** Further settings that change what a method does. */
const CHOICES: readonly (readonly [type: string, settings: Readonly<Record<string, unknown>>])[] = [
  ["vanilla", { lookupDim: 3 }],
  ["vanilla", { normalization: "batch" }],
  ["ema", { lookupDim: 3, normalization: "deviation", initialization: "kmeans" }],
  ["clustered", { anchor: "random" }],
  ["clustered", { anchor: "distinct", initialization: "kmeans++" }],
  ["clustered-ema", { anchor: "probrandom", normalization: "batch" }],
  ["clustered-ema", { anchor: "error" }],
  ["vanilla", { perturbation: 0.5, perturbationReach: 2, initialization: "kmeans" }],
  ["fsq", { normalization: "batch", warmupSteps: 3 }],
  ["clustered", { anchor: "probrandom", distance: "l2" }],
  ["gumbel", { hard: false }],
  ["sq", { variance: "II" }],
  ["sq", { variance: "IV" }],
  ["residual", { inner: { type: "clustered", codebookSize: 6, codebookDim: 4 } }],
  ["residual", { shared: false, dropout: 0.5, inner: { type: "ema", codebookSize: 5 } }],
  ["product", { heads: 2, inner: { type: "ema", codebookDim: 3, initialization: "kmeans++" } }],
  ["product", { heads: 2, shared: true, inner: { type: "fsq", levels: [3, 5] } }],
  ["multi-scale", {
    convolutions: 0,
    inner: { type: "ema", codebookSize: 6, initialization: "kmeans" },
  }],
];

function variant(type: string, settings: Readonly<Record<string, unknown>>): Variant {
  return {
    name: [type, ...Object.entries(settings).map(([name, value]) => `${name} ${value}`)].join(", "),
    make: (device, codebookSize = 6, seed = 3) => {
      const sizes = { codebookSize, codebookDim: 4 };
      const own = isComposite(type) ? { inner: sizes } : taken(type, sizes);
      const grid = taken(type, { scales: [1, 2] });
      return createQuantizer(
        device,
        { type, ...own, ...grid, ...settings },
        randomKey(seed, "initial"),
      );
    },
  };
}

export const VARIANTS: readonly Variant[] = [
  ...QUANTIZER_TYPES.flatMap((type) => {
    const pieces = taken(type, PIECES);
    return [variant(type, {}), ...("gradient" in pieces ? [variant(type, pieces)] : [])];
  }),
  ...CHOICES.map(([type, settings]) => variant(type, settings)),
];

/** Those that code each feature by itself: they take a mask, and a feature that is not finite spoils no other. */
export const FEATUREWISE: readonly Variant[] = VARIANTS.filter(({ name }) =>
  !/multi-scale/.test(name)
);

/** A loss that every output has a part in. */
export function judge({ quantized, losses }: ReturnType<Quantizer["quantize"]>): Tensor {
  const upstream = quantized.device.tensor(draw(quantized.shape, "upstream"), quantized.shape);
  return Object.values(losses).reduce(add, sum(mul(quantized, upstream)));
}

/** Features `[..., D]` that are different for every purpose: grids of them, for a quantiser of grids. */
export function featuresOf(
  quantizer: Quantizer,
  batch: Shape,
  purpose: string,
  device: Device,
): Tensor {
  const shape = [...batch, ...quantizer.grid ?? [], quantizer.codebookDim];
  return parameter(device.tensor(draw(shape, purpose, -1, 2), shape));
}
