/** Group normalisation with gain and shift, and SiLU, of x [B, S, C]. A group is C/G adjacent channels of one sample at
 * all positions. As in normalization.ts, a workgroup holds a group, and groups that are too long take several passes. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes, GroupNormAttributes } from "../../ops.ts";
import { sizeOf } from "../../shape.ts";
import { floatFunctions } from "../float_functions.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { loopBudget } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { type GroupProgram, launchHeld } from "./normalization.ts";
import {
  chunkSum,
  groupOfElement,
  groupsOf,
  launchGroups,
  statisticsInPasses,
} from "./normalization_passes.ts";
import { sumLines } from "./reductions.ts";

type Views = readonly View<WebGpuBuffer>[];

/** How a shader is specialised. */
interface Variant extends Pick<GroupNormAttributes, "centred" | "silu"> {
  readonly shifted: boolean;
  readonly channels: number;
}

const keyOf = ({ centred, silu, shifted }: Variant): string => `${centred}/${silu}/${shifted}`;

/** The bindings of the parameters. */
const parametersOf = ({ shifted }: Variant): string[] => [
  "gain: f32",
  ...shifted ? ["shift: f32"] : [],
];

/** WGSL: `scaled(x̂, channel)`, the output `activated(u)` of it, and the output's `slope(u)`. */
function functionsOf({ silu, shifted }: Variant): string {
  return `${floatFunctions(1, silu ? ["logistic"] : ["special"])}
fn scaled(normalized: f32, channel: u32) -> f32 {
  return normalized * gain[channel]${shifted ? " + shift[channel]" : ""};
}
fn activated(u: f32) -> f32 { return ${silu ? "u * logistic(u)" : "u"}; }
fn slope(u: f32) -> f32 {
  ${silu ? "let s = logistic(u); return s * (1.0 + u * (1.0 - s));" : "return 1.0;"}
}`;
}

function forwardHeld(variant: Variant): GroupProgram {
  const { centred, channels } = variant;
  return {
    name: `groupNormHeld/${keyOf(variant)}`,
    inputs: ["x: f32", ...parametersOf(variant)],
    outputs: ["y: f32", "statistics: vec2<f32>"],
    type: "f32",
    words: 1,
    functions: functionsOf(variant),
    body: (each) => `
  var sum = 0.0;
  ${each("let value = x[at]; held[e] = value; sum += value;")}
  let mean = ${centred ? "fold(sum, local) / f32(count)" : "0.0"};
  var square = 0.0;
  ${each("let centred = held[e] - mean; held[e] = centred; square += centred * centred;")}
  let inverse = 1.0 / sqrt(fold(square, local) / f32(count) + numbers.epsilon);
  ${each(`y[at] = activated(scaled(held[e] * inverse, at % ${channels}u));`)}
  if (local == 0u) { statistics[group] = vec2<f32>(mean, inverse); }`,
  };
}

/** WGSL: `normal` = x̂ and `h` = g·(dy/du)·gain of the element `at` of group `owner`. */
function slopeText(owner: string, { channels }: Variant): string {
  return `
    let channel = at % ${channels}u;
    let normal = (x[at] - statistics[${owner}].x) * statistics[${owner}].y;
    let h = upstream[at] * slope(scaled(normal, channel)) * gain[channel];`;
}

const GRADIENT_INPUTS = ["x: f32", "statistics: vec2<f32>", "upstream: f32"];

function gradientHeld(variant: Variant): GroupProgram {
  return {
    name: `groupNormGradientHeld/${keyOf(variant)}`,
    inputs: [...GRADIENT_INPUTS, ...parametersOf(variant)],
    outputs: ["gradient: f32"],
    type: "vec2<f32>",
    words: 2,
    functions: functionsOf(variant),
    body: (each) => `
  var sums = A(0.0);
  ${
      each(`${slopeText("group", variant)}
    held[e] = A(h, normal); sums += A(${variant.centred ? "h" : "0.0"}, h * normal);`)
    }
  let means = fold(sums, local) / f32(count);
  ${
      each(
        "gradient[at] = (held[e].x - means.x - held[e].y * means.y) * statistics[group].y;",
      )
    }`,
  };
}

/** Bindings and their buffers. */
function bound(names: readonly string[], views: Views): Record<string, WebGpuBuffer> {
  return Object.fromEntries(names.map((name, index) => [name, views[index].buffer]));
}

function forwardInPasses(
  launcher: Launcher,
  inputs: Views,
  [y, statistics]: Views,
  { groups: count, epsilon, centred }: Attributes["groupNorm"],
  variant: Variant,
): void {
  const [x, ...parameters] = inputs;
  const groups = groupsOf(x.shape, count, launcher);
  const scale = launcher.scratch(2, groups.total * 4);
  statisticsInPasses(launcher, groups, x, { epsilon, centred }, statistics.buffer, scale);
  launchGroups(launcher, groups, {
    name: `groupNorm/${keyOf(variant)}`,
    inputs: {
      ...bound(["x: f32", "statistics: vec2<f32>"], [x, statistics]),
      ...bound(parametersOf(variant), parameters),
    },
    outputs: { "y: f32": y.buffer },
    functions: functionsOf(variant),
    threads: sizeOf(x.shape),
    body: `
  ${groupOfElement(groups)}
  let normal = (x[index] - statistics[owner].x) * statistics[owner].y;
  y[index] = activated(scaled(normal, index % ${variant.channels}u));`,
  });
}

function gradientInPasses(
  launcher: Launcher,
  operands: Views,
  [gradient]: Views,
  count: number,
  variant: Variant,
): void {
  const groups = groupsOf(operands[0].shape, count, launcher);
  const { total, chunks, width } = groups;
  const sums = launcher.scratch(0, total * chunks * 8);
  const means = launcher.scratch(1, total * 8);
  const inputs = bound([...GRADIENT_INPUTS, ...parametersOf(variant)], operands);
  const functions = functionsOf(variant);
  launchGroups(launcher, groups, {
    name: `groupNormGradientSums/${keyOf(variant)}`,
    inputs,
    outputs: { "sums: vec2<f32>": sums },
    functions,
    threads: total * chunks,
    body: chunkSum(
      groups,
      "",
      `vec2<f32>(${variant.centred ? "h" : "0.0"}, h * normal)`,
      slopeText("owner", variant),
    ),
  });
  launchGroups(launcher, groups, {
    name: "normalizeGradientMeans",
    inputs: { "partial: vec2<f32>": sums },
    outputs: { "means: vec2<f32>": means },
    threads: total,
    body: `  means[index] = group_total(index) / ${width}.0;`,
  });
  launchGroups(launcher, groups, {
    name: `groupNormGradient/${keyOf(variant)}`,
    inputs: { ...inputs, "means: vec2<f32>": means },
    outputs: { "gradient: f32": gradient.buffer },
    functions,
    threads: sizeOf(operands[0].shape),
    body: `
  ${groupOfElement(groups)}
  let at = index;${slopeText("owner", variant)}
  gradient[index] = (h - means[owner].x - normal * means[owner].y) * statistics[owner].y;`,
  });
}

/** How many threads share the sums over positions, and how many positions each should have. */
const THREADS = { software: 256, gpu: 16384 };
const LEAST_POSITIONS = 16;

/** Sums over all positions. Each thread handles one channel at positions a fixed step apart. */
function parameterGradient(
  launcher: Launcher,
  operands: Views,
  output: View<WebGpuBuffer>,
  groups: number,
  variant: Variant,
): void {
  const [batch, positions, channels] = operands[0].shape, rows = batch * positions;
  const threads = launcher.isSoftware ? THREADS.software : THREADS.gpu;
  const wanted = Math.min(Math.ceil(threads / channels), Math.ceil(rows / LEAST_POSITIONS));
  const chunks = Math.max(wanted, Math.ceil(rows / loopBudget(launcher)));
  const parts = chunks === 1 ? output.buffer : launcher.scratch(2, 2 * chunks * channels * 4);
  launcher.launch({
    key: `groupNormParameters/${keyOf(variant)}`,
    shader: () => ({
      inputs: [...GRADIENT_INPUTS, ...parametersOf(variant)],
      outputs: ["sums: f32"],
      numbers: ["rows: u32", "positions: u32", "channels: u32", "groups: u32", "chunks: u32"],
      declarations: functionsOf(variant),
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.channels * numbers.chunks) { return; }
  let channel = index % numbers.channels;
  let chunk = index / numbers.channels;
  let group_of_channel = channel / (numbers.channels / numbers.groups);
  var total = vec2<f32>(0.0);
  for (var row = chunk; row < numbers.rows; row += numbers.chunks) {
    let at = row * numbers.channels + channel;
    let of_group = statistics[row / numbers.positions * numbers.groups + group_of_channel];
    let normal = (x[at] - of_group.x) * of_group.y;
    total += vec2<f32>(normal, 1.0) * (upstream[at] * slope(scaled(normal, channel)));
  }
  sums[2u * chunk * numbers.channels + channel] = total.x;
  sums[(2u * chunk + 1u) * numbers.channels + channel] = total.y;`,
    }),
    inputs: operands.map(({ buffer }) => buffer),
    outputs: [parts],
    numbers: [rows, positions, channels, groups, chunks],
    workgroups: workgroupsFor(channels * chunks),
  });
  if (chunks === 1) return;
  sumLines(launcher, parts, output.buffer, { outer: 1, count: chunks, inner: 2 * channels });
}

type Name = "groupNorm" | "groupNormGradient" | "groupNormParameterGradient";
type Table = { readonly [N in Name]: Kernel<Attributes[N], WebGpuBuffer> };

/** The kernels of group normalisation. */
export function groupNormKernels(launcher: Launcher): Table {
  const variantOf = (
    { centred, silu }: GroupNormAttributes,
    { shape }: View,
    shifted: boolean,
  ): Variant => ({ centred, silu, shifted, channels: shape[2] });
  return {
    groupNorm: (inputs, outputs, attributes) => {
      const { groups, epsilon } = attributes;
      const variant = variantOf(attributes, inputs[0], inputs.length === 3);
      if (launchHeld(launcher, forwardHeld(variant), inputs, outputs, groups, epsilon)) return;
      forwardInPasses(launcher, inputs, outputs, attributes, variant);
    },
    groupNormGradient: (operands, outputs, attributes) => {
      const { groups } = attributes;
      const variant = variantOf(attributes, operands[0], operands.length === 5);
      if (launchHeld(launcher, gradientHeld(variant), operands, outputs, groups, 0)) return;
      gradientInPasses(launcher, operands, outputs, groups, variant);
    },
    groupNormParameterGradient: (operands, [output], attributes) => {
      const variant = variantOf(attributes, operands[0], operands.length === 5);
      parameterGradient(launcher, operands, output, attributes.groups, variant);
    },
  };
}
