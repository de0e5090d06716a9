/** Kernels that draw random numbers. */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { permutation, type RandomKey } from "../../random.ts";
import { sizeOf, type Spec } from "../../shape.ts";
import { floatFunctions } from "../float_functions.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { KEY_NUMBERS, keyNumbers, PHILOX } from "../philox.ts";

// A block of four words gives four adjacent elements.
const UNIFORM = `
fn draw(w: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(unit_interval(w.x), unit_interval(w.y), unit_interval(w.z), unit_interval(w.w));
}`;

const NORMAL = `
fn pair(first: u32, second: u32) -> vec2<f32> {
  let radius = sqrt(-2.0 * logarithm(f32((first >> 8u) + 1u) * 5.9604644775390625e-8));
  return radius * turn_cosine_sine(unit_interval(second));
}
fn draw(w: vec4<u32>) -> vec4<f32> { return vec4<f32>(pair(w.x, w.y), pair(w.z, w.w)); }`;

function launchDraw(
  launcher: Launcher,
  name: "uniform" | "normal",
  output: Spec & { readonly buffer: WebGpuBuffer },
  key: RandomKey,
  scale: number,
  shift: number,
): void {
  const blocks = Math.ceil(sizeOf(output.shape) / 4);
  launcher.launch({
    key: name,
    shader: () => ({
      inputs: [],
      outputs: ["drawn: vec4<f32>"],
      numbers: ["blocks: u32", "scale: f32", "shift: f32", ...KEY_NUMBERS],
      declarations: [
        floatFunctions(1, ["logarithm", "turn"]),
        PHILOX,
        name === "uniform" ? UNIFORM : NORMAL,
      ].join("\n"),
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.blocks) { return; }
  drawn[index] = draw(random_words(index, 0u)) * numbers.scale + numbers.shift;`,
    }),
    inputs: [],
    outputs: [output.buffer],
    numbers: [blocks, floatBits(scale), floatBits(shift), ...keyNumbers(key)],
    workgroups: workgroupsFor(blocks),
  });
}

type Random = "uniform" | "normal" | "permutation";
type Table = { readonly [N in Random]: Kernel<Attributes[N], WebGpuBuffer> };

/** The kernels that draw random numbers. */
export function randomKernels(launcher: Launcher): Table {
  return {
    uniform: (_, [output], { key, low, high }) =>
      launchDraw(launcher, "uniform", output, key, high - low, low),
    normal: (_, [output], { key, mean, deviation }) =>
      launchDraw(launcher, "normal", output, key, deviation, mean),
    permutation: (_, [output], { key, length }) =>
      launcher.write(output.buffer, permutation(key, length)),
  };
}
