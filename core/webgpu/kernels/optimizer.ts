/** The optimiser's kernel: Adam, in place, over as many parameters at once as the limit on buffers allows. Software
 * adapters run every branch for every thread, so they get one launch per parameter. */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { sizeOf } from "../../shape.ts";
import {
  type ComputeShader,
  floatBits,
  type Launcher,
  WORKGROUP_SIZE,
  workgroupsFor,
} from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { NUMBERS_BYTES } from "../program.ts";

/** The gradient, the parameter and its two moments. */
const BUFFERS_PER_PARAMETER = 4;
const ATTRIBUTES = [
  "rate",
  "beta1",
  "rest1",
  "beta2",
  "rest2",
  "correction",
  "epsilon",
  "regularization",
  "kept",
];

const UPDATE = `
struct Updated { parameter: vec4<f32>, first: vec4<f32>, second: vec4<f32> }
fn updated(gradient: vec4<f32>, p: vec4<f32>, first: vec4<f32>, second: vec4<f32>) -> Updated {
  let g = gradient + numbers.regularization * p;
  let m = numbers.beta1 * first + numbers.rest1 * g;
  let v = numbers.beta2 * second + numbers.rest2 * g * g;
  let step = numbers.rate * m / (sqrt(v) / numbers.correction + numbers.epsilon);
  return Updated(p * numbers.kept - step, m, v);
}`;

/** Consecutive ranges of threads handle the parameters. */
function adamShader(parameters: number): ComputeShader {
  const each = Array.from({ length: parameters }, (_, at) => at);
  const named = (name: string) => each.map((at) => `${name}${at}: vec4<f32>`);
  return {
    inputs: named("gradient"),
    outputs: [...named("parameter"), ...named("first"), ...named("second")],
    numbers: [...ATTRIBUTES.map((name) => `${name}: f32`), ...each.map((at) => `count${at}: u32`)],
    declarations: UPDATE,
    workgroupSize: WORKGROUP_SIZE,
    body: `  var at = index;\n${
      each.map((i) =>
        `  if (at < numbers.count${i}) {
    let next = updated(gradient${i}[at], parameter${i}[at], first${i}[at], second${i}[at]);
    parameter${i}[at] = next.parameter;
    first${i}[at] = next.first;
    second${i}[at] = next.second;
    return;
  }
  at -= numbers.count${i};`
      ).join("\n")
    }`,
  };
}

/** The optimiser's kernels. */
export function optimizerKernels(
  launcher: Launcher,
): { readonly adam: Kernel<Attributes["adam"], WebGpuBuffer> } {
  const { isSoftware, limits } = launcher;
  const visible = Math.floor(limits.maxStorageBuffersPerShaderStage / BUFFERS_PER_PARAMETER);
  const most = isSoftware ? 1 : Math.min(visible, NUMBERS_BYTES / 4 - ATTRIBUTES.length);
  return {
    adam: (gradients, outputs, attributes) => {
      const { rate, beta1, beta2, correction, epsilon, regularization, decay } = attributes;
      const betas = [beta1, 1 - beta1, beta2, 1 - beta2];
      const values = [rate, ...betas, correction, epsilon, regularization, 1 - decay];
      const total = gradients.length;
      for (let start = 0; start < total; start += most) {
        const some = gradients.slice(start, start + most);
        const updated = [0, total, 2 * total].flatMap((first) =>
          outputs.slice(first + start, first + start + some.length)
        );
        const counts = some.map(({ shape }) => Math.ceil(sizeOf(shape) / 4));
        launcher.launch({
          key: `adam/${some.length}`,
          shader: () => adamShader(some.length),
          inputs: some.map(({ buffer }) => buffer),
          outputs: updated.map(({ buffer }) => buffer),
          numbers: [...values.map(floatBits), ...counts],
          workgroups: workgroupsFor(counts.reduce((sum, count) => sum + count, 0)),
        });
      }
    },
  };
}
