/** The optimiser's kernel: Adam, with decoupled weight decay, in place. */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { sizeOf } from "../../shape.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";

/** The optimiser's kernels. */
export function optimizerKernels(
  launcher: Launcher,
): { readonly adam: Kernel<Attributes["adam"], WebGpuBuffer> } {
  return {
    adam: ([gradient], [parameter, first, second], attributes) => {
      const { rate, beta1, beta2, correction, epsilon, decay } = attributes;
      const count = Math.ceil(sizeOf(gradient.shape) / 4);
      const values = [rate, beta1, 1 - beta1, beta2, 1 - beta2, correction, epsilon, 1 - decay];
      launcher.launch({
        key: "adam",
        shader: () => ({
          inputs: ["gradient: vec4<f32>"],
          outputs: ["parameter: vec4<f32>", "first: vec4<f32>", "second: vec4<f32>"],
          numbers: [
            "count: u32",
            "rate: f32",
            "beta1: f32",
            "rest1: f32",
            "beta2: f32",
            "rest2: f32",
            "correction: f32",
            "epsilon: f32",
            "kept: f32",
          ],
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.count) { return; }
  let g = gradient[index];
  let m = numbers.beta1 * first[index] + numbers.rest1 * g;
  let v = numbers.beta2 * second[index] + numbers.rest2 * g * g;
  first[index] = m;
  second[index] = v;
  let step = numbers.rate * m / (sqrt(v) / numbers.correction + numbers.epsilon);
  parameter[index] = parameter[index] * numbers.kept - step;`,
        }),
        inputs: [gradient.buffer],
        outputs: [parameter.buffer, first.buffer, second.buffer],
        numbers: [count, ...values.map(floatBits)],
        workgroups: workgroupsFor(count),
      });
    },
  };
}
