/** Normalisation of x [B, S, C] over groups. A group is C/G adjacent channels of one sample at all positions.
 *
 * A workgroup holds a group and reads it once; groups that are too long for that take several passes. In both cases the
 * variance is computed around the mean, so that a large mean does not cost accuracy.
 */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { heldLineText, holdLine } from "../held_lines.ts";
import { floatBits, type Launcher } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { foldText, SUMS } from "../workgroup_fold.ts";
import { normalizeGradientInPasses, normalizeInPasses, placeText } from "./normalization_passes.ts";

/** What a workgroup does with the group that it holds. */
export interface GroupProgram {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The type of what is held per element and summed, and its size in words. */
  readonly type: string;
  readonly words: number;
  /** Functions that the statements call. */
  readonly functions?: string;
  /** Statements; `each` makes those for every element e of the thread, at offset `at`. */
  readonly body: (each: (statements: string) => string) => string;
}

const NORMALIZE: GroupProgram = {
  name: "normalizeHeld",
  inputs: ["x: f32"],
  outputs: ["normalized: f32", "scale: f32"],
  type: "f32",
  words: 1,
  body: (each) => `
  var sum = 0.0;
  ${each("let value = x[at]; held[e] = value; sum += value;")}
  let mean = fold(sum, local) / f32(count);
  var square = 0.0;
  ${each("let centred = held[e] - mean; held[e] = centred; square += centred * centred;")}
  let inverse = 1.0 / sqrt(fold(square, local) / f32(count) + numbers.epsilon);
  ${each("normalized[at] = held[e] * inverse;")}
  if (local == 0u) { scale[group] = inverse; }`,
};

const NORMALIZE_GRADIENT: GroupProgram = {
  name: "normalizeGradientHeld",
  inputs: ["normalized: f32", "scale: f32", "upstream: f32"],
  outputs: ["gradient: f32"],
  type: "vec2<f32>",
  words: 2,
  body: (each) => `
  var sums = A(0.0);
  ${
    each(
      "let pair = A(upstream[at], normalized[at]); held[e] = pair; sums += A(1.0, pair.y) * pair.x;",
    )
  }
  let means = fold(sums, local) / f32(count);
  ${each("gradient[at] = (held[e].x - means.x - held[e].y * means.y) * scale[group];")}`,
};

/** Launches a program over all groups, if a workgroup can hold one.
 * @returns whether it can
 */
export function launchHeld(
  launcher: Launcher,
  { name, inputs, outputs, type, words, functions = "", body }: GroupProgram,
  from: readonly View<WebGpuBuffer>[],
  to: readonly View<WebGpuBuffer>[],
  groups: number,
  epsilon: number,
): boolean {
  const [batch, positions, channels] = from[0].shape;
  const width = channels / groups;
  const line = holdLine(launcher, positions * width, words);
  if (line === undefined) return false;
  const total = batch * groups;
  const each = (statements: string) =>
    `for (var e = local; e < count; e += ${line.threads}u) { let at = place(group, e); ${statements} }`;
  launcher.launch({
    key: `${name}/${channels}/${width}/${line.threads}/${line.places}`,
    shader: () => ({
      subgroups: launcher.subgroups !== undefined,
      inputs,
      outputs,
      numbers: ["total: u32", "positions: u32", "epsilon: f32"],
      declarations: `alias A = ${type};
${foldText(launcher, SUMS, line.threads)}
${heldLineText(line, type)}
${placeText(channels, width)}
${functions}`,
      workgroupSize: line.threads,
      body: `  if (group >= numbers.total) { return; }
  let count = numbers.positions * ${width}u;${body(each)}`,
    }),
    inputs: from.map(({ buffer }) => buffer),
    outputs: to.map(({ buffer }) => buffer),
    numbers: [total, positions, floatBits(epsilon)],
    workgroups: total,
  });
  return true;
}

type Table = {
  readonly [N in "normalize" | "normalizeGradient"]: Kernel<Attributes[N], WebGpuBuffer>;
};

/** The normalisation kernels. */
export function normalizationKernels(launcher: Launcher): Table {
  return {
    normalize: (inputs, outputs, attributes) => {
      const { groups, epsilon } = attributes;
      if (launchHeld(launcher, NORMALIZE, inputs, outputs, groups, epsilon)) return;
      normalizeInPasses(launcher, inputs, outputs, attributes);
    },
    normalizeGradient: (inputs, outputs, attributes) => {
      const { groups } = attributes;
      if (launchHeld(launcher, NORMALIZE_GRADIENT, inputs, outputs, groups, 0)) return;
      normalizeGradientInPasses(launcher, inputs, outputs, attributes);
    },
  };
}
