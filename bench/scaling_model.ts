/** The model of a step's messages, and the steps that it is applied to. The equations are in `scaling.ts`. */
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { FirstStage } from "../models/first_stage.ts";
import type { Objective } from "../objectives/objective.ts";
import { constructModel, constructObjective } from "../training/construct.ts";
import { resolveUnchecked } from "../training/resolve.ts";

/** A message of a step. */
export interface Message {
  readonly kind: "sum" | "gather";
  /** The bytes of one rank. */
  readonly bytes: number;
}

/** A preset, with the number of images per rank and the shape of an image. */
export interface Case {
  readonly preset: string;
  readonly images: number;
  readonly imageShape: readonly [height: number, width: number, channels: number];
}

/** The presets of the table. */
export const CASES: readonly Case[] = [
  { preset: "digits", images: 64, imageShape: [28, 28, 1] },
  { preset: "ldm", images: 64, imageShape: [28, 28, 1] },
  { preset: "vqgan-f16", images: 4, imageShape: [256, 256, 3] },
];

/** Creates an objective and the parts of a batch that its steps need. The first stage of `ldm` is untrained. */
export async function makeObjective(
  { preset, imageShape }: Case,
  device: Device,
): Promise<Objective> {
  const dataset: Dataset = {
    name: "counted",
    imageShape,
    sizes: { train: 1e4, test: 1 },
    variance: 1,
    images: (_, indices) => Promise.resolve(pixels(indices.length * sizeOf(imageShape))),
  };
  const isAdversarial = preset.startsWith("vqgan");
  const config = resolveUnchecked({
    flags: {
      preset,
      ...isAdversarial && { objective: { perceptual: "none", discStart: 0 } },
      ...preset === "ldm" && { stage1: "counted", objective: { cache: "none" } },
    },
  });
  const key = randomKey(1, "counted");
  const stage1 = preset === "ldm"
    ? new FirstStage(constructModel(resolveUnchecked({}), device, dataset), key)
    : undefined;
  return await constructObjective(config, device, dataset, stage1);
}

/** A batch for one rank. */
export function batchOf({ images, imageShape }: Case, device: Device): Tensor {
  return device.tensor(pixels(images * sizeOf(imageShape)), [images, ...imageShape]);
}

/** Arbitrary grey values in [−1, 1]. */
function pixels(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, at) => Math.sin(at * 0.37 + at ** 2 * 1e-5));
}

/** The seconds that a step's messages take over n ranks. */
export function exchange(
  messages: readonly Message[],
  n: number,
  alpha: number,
  beta: number,
): number {
  if (n === 1) return 0;
  const rounds = Math.ceil(Math.log2(n));
  return messages.reduce((seconds, { kind, bytes }) => {
    const own = kind === "gather" ? rounds * alpha + (n - 1) * bytes / beta : Math.min(
      2 * (n - 1) * alpha + 2 * (n - 1) / n * bytes / beta,
      rounds * (alpha + bytes / beta),
    );
    return seconds + 2 * rounds * alpha + own;
  }, 0);
}
