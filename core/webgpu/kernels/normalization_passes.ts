/** Normalisation over groups that are too long for a workgroup to hold, in several passes.
 *
 * A group's elements are shared among `chunks` threads, each taking every `chunks`-th element. Their partial sums are
 * then added in order.
 */
import type { View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { type Shape, sizeOf } from "../../shape.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { loopBudget } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";

type Views = readonly View<WebGpuBuffer>[];

/** How a tensor is divided into groups. */
export interface Groups {
  /** Groups over all samples. */
  readonly total: number;
  /** Elements of one group. */
  readonly count: number;
  /** The number of channels of a sample, and of one group. */
  readonly channels: number;
  readonly width: number;
  readonly positions: number;
  /** Threads that share a group. */
  readonly chunks: number;
}

const NUMBERS = ["threads: u32", "positions: u32", "chunks: u32", "epsilon: f32"];

export function groupsOf(shape: Shape, groups: number, launcher: Launcher): Groups {
  const { isSoftware } = launcher;
  const [batch, positions, channels] = shape;
  const total = batch * groups;
  const width = channels / groups;
  const count = positions * width;
  const wanted = Math.max(Math.ceil((isSoftware ? 256 : 16384) / total), isSoftware ? 1 : 32);
  // A thread loops over its elements and over a group's chunks. Each loop may use half of its loop budget.
  const least = Math.max(1, Math.ceil(2 * count / loopBudget(launcher)));
  const chunks = Math.max(least, Math.min(wanted, Math.floor(count / 16), 64));
  return { total, count, channels, width, positions, chunks };
}

/** WGSL: the offset of element `e` of group `owner`; a group is `width` of the `channels` wide. */
export function placeText(channels: number, width: number): string {
  const groups = channels / width;
  return `
fn place(owner: u32, e: u32) -> u32 {
  let position = (owner / ${groups}u) * numbers.positions + e / ${width}u;
  return position * ${channels}u + (owner % ${groups}u) * ${width}u + e % ${width}u;
}`;
}

const GROUP_TOTAL = `
fn group_total(owner: u32) -> vec2<f32> {
  var total = vec2<f32>(0.0);
  for (var chunk = 0u; chunk < numbers.chunks; chunk++) {
    total += partial[owner * numbers.chunks + chunk];
  }
  return total / f32(numbers.positions);
}`;

/** One launch over groups or their chunks. */
export interface GroupLaunch {
  readonly name: string;
  readonly inputs: Readonly<Record<string, WebGpuBuffer>>;
  readonly outputs: Readonly<Record<string, WebGpuBuffer>>;
  readonly threads: number;
  readonly body: string;
  /** Functions that the body calls. */
  readonly functions?: string;
  readonly epsilon?: number;
}

export function launchGroups(launcher: Launcher, groups: Groups, call: GroupLaunch): void {
  const { name, inputs, outputs, threads, body, functions = "", epsilon = 0 } = call;
  const { channels, width, positions, chunks } = groups;
  launcher.launch({
    key: `${name}/${channels}/${width}`,
    shader: () => ({
      inputs: Object.keys(inputs),
      outputs: Object.keys(outputs),
      numbers: NUMBERS,
      declarations: placeText(channels, width) +
        ("partial: vec2<f32>" in inputs ? GROUP_TOTAL : "") + functions,
      workgroupSize: WORKGROUP_SIZE,
      body: `  if (index >= numbers.threads) { return; }\n${body}`,
    }),
    inputs: Object.values(inputs),
    outputs: Object.values(outputs),
    numbers: [threads, positions, chunks, floatBits(epsilon)],
    workgroups: workgroupsFor(threads),
  });
}

/** WGSL: adds up a pair of numbers over the elements of a chunk.
 * @param before statements before the loop; `each` are those for every element, at offset `at`
 */
export function chunkSum({ width }: Groups, before: string, term: string, each = ""): string {
  return `
  let owner = index / numbers.chunks;
  ${before}
  var total = vec2<f32>(0.0);
  for (var e = index % numbers.chunks; e < numbers.positions * ${width}u; e += numbers.chunks) {
    let at = place(owner, e);${each}
    total += ${term};
  }
  sums[index] = total;`;
}

/** WGSL: the group of element `index`. */
export function groupOfElement({ channels, width }: Groups): string {
  return `let owner = (index / (numbers.positions * ${channels}u)) * ${
    channels / width
  }u + (index % ${channels}u) / ${width}u;`;
}

/** The mean and 1/σ of groups of any length; if they are not `centred`, 0 and 1/σ around 0.
 * @param statistics one vec2<f32> per group; `scale` gets the second element of each
 */
export function statisticsInPasses(
  launcher: Launcher,
  groups: Groups,
  x: View<WebGpuBuffer>,
  { epsilon, centred }: { readonly epsilon: number; readonly centred: boolean },
  statistics: WebGpuBuffer,
  scale: WebGpuBuffer,
): void {
  const { total, chunks, width } = groups;
  const sums = launcher.scratch(0, total * chunks * 8);
  const squares = launcher.scratch(1, total * chunks * 8);
  const meanOf = (owner: string) => centred ? `group_total(${owner}).x / ${width}.0` : "0.0";
  const mean = `let mean = ${meanOf("owner")};`;
  const variant = centred ? "" : "/0";
  launchGroups(launcher, groups, {
    name: "normalizeSum",
    inputs: { "x: f32": x.buffer },
    outputs: { "sums: vec2<f32>": sums },
    threads: total * chunks,
    body: chunkSum(groups, "", "vec2<f32>(x[at], 0.0)"),
  });
  launchGroups(launcher, groups, {
    name: `normalizeSquares${variant}`,
    inputs: { "x: f32": x.buffer, "partial: vec2<f32>": sums },
    outputs: { "sums: vec2<f32>": squares },
    threads: total * chunks,
    body: chunkSum(groups, mean, "vec2<f32>(0.0, (x[at] - mean) * (x[at] - mean))"),
  });
  launchGroups(launcher, groups, {
    name: `normalizeScale${variant}`,
    inputs: { "partial: vec2<f32>": sums, "squares: vec2<f32>": squares },
    outputs: { "statistics: vec2<f32>": statistics, "scale: f32": scale },
    threads: total,
    epsilon,
    body: `
  var square = 0.0;
  for (var chunk = 0u; chunk < numbers.chunks; chunk++) {
    square += squares[index * numbers.chunks + chunk].y;
  }
  let variance = square / f32(numbers.positions) / ${width}.0;
  let inverse = 1.0 / sqrt(variance + numbers.epsilon);
  statistics[index] = vec2<f32>(${meanOf("index")}, inverse);
  scale[index] = inverse;`,
  });
}

/** x̂ and 1/σ of groups of any length. */
export function normalizeInPasses(
  launcher: Launcher,
  [x]: Views,
  [normalized, scale]: Views,
  attributes: Attributes["normalize"],
): void {
  const groups = groupsOf(x.shape, attributes.groups, launcher);
  const statistics = launcher.scratch(2, groups.total * 8);
  const { epsilon } = attributes;
  statisticsInPasses(launcher, groups, x, { epsilon, centred: true }, statistics, scale.buffer);
  launchGroups(launcher, groups, {
    name: "normalize",
    inputs: { "x: f32": x.buffer, "statistics: vec2<f32>": statistics },
    outputs: { "normalized: f32": normalized.buffer },
    threads: sizeOf(x.shape),
    body: `
  ${groupOfElement(groups)}
  normalized[index] = (x[index] - statistics[owner].x) * statistics[owner].y;`,
  });
}

/** The gradient of groups of any length. */
export function normalizeGradientInPasses(
  launcher: Launcher,
  [normalized, scale, upstream]: Views,
  [gradient]: Views,
  attributes: Attributes["normalizeGradient"],
): void {
  const groups = groupsOf(normalized.shape, attributes.groups, launcher);
  const { total, chunks, width } = groups;
  const sums = launcher.scratch(0, total * chunks * 8);
  const means = launcher.scratch(1, total * 8);
  launchGroups(launcher, groups, {
    name: "normalizeGradientSums",
    inputs: { "normalized: f32": normalized.buffer, "upstream: f32": upstream.buffer },
    outputs: { "sums: vec2<f32>": sums },
    threads: total * chunks,
    body: chunkSum(groups, "", "vec2<f32>(upstream[at], upstream[at] * normalized[at])"),
  });
  launchGroups(launcher, groups, {
    name: "normalizeGradientMeans",
    inputs: { "partial: vec2<f32>": sums },
    outputs: { "means: vec2<f32>": means },
    threads: total,
    body: `  means[index] = group_total(index) / ${width}.0;`,
  });
  launchGroups(launcher, groups, {
    name: "normalizeGradient",
    inputs: {
      "normalized: f32": normalized.buffer,
      "upstream: f32": upstream.buffer,
      "means: vec2<f32>": means,
      "scale: f32": scale.buffer,
    },
    outputs: { "gradient: f32": gradient.buffer },
    threads: sizeOf(normalized.shape),
    body: `
  ${groupOfElement(groups)}
  let centred = upstream[index] - means[owner].x - normalized[index] * means[owner].y;
  gradient[index] = centred * scale[owner];`,
  });
}
