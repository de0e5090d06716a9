/** Group and layer normalisation. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes, GroupNormAttributes, NormalizationName } from "../../ops.ts";
import { type Shape, sizeOf } from "../../shape.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";
import { addressOf } from "./products.ts";

type Table = { readonly [N in NormalizationName]: Kernel<Attributes[N], CpuBuffer> };
const EPSILON = 12; // in words: where the module expects a group norm's epsilon

type Views = readonly View<CpuBuffer>[];

/** The kernels of normalisation. */
export function normalizationKernels(machine: Machine): Table {
  const describe = (x: View<CpuBuffer>, others: Views, groups: number): void =>
    machine.describe([...[x, ...others].map(({ buffer }) => buffer.address), ...x.shape, groups]);
  const describeGroupNorm = (
    [x, statistics, gradient, gain, shift]: readonly (View<CpuBuffer> | undefined)[],
    output: View<CpuBuffer>,
    [batch, positions, channels]: Shape,
    { groups, centred, silu }: GroupNormAttributes,
  ): void =>
    machine.describe([
      ...[x, statistics, gradient, gain, shift, output].map(addressOf),
      ...[batch, positions, channels, groups, Number(centred), Number(silu)],
    ]);
  return {
    groupNorm: ([x, gain, shift], [output, statistics], attributes) => {
      const operands = [x, statistics, undefined, gain, shift];
      describeGroupNorm(operands, output, x.shape, attributes);
      machine.describeFloats([attributes.epsilon], EPSILON);
      machine.exports.groupNorm();
    },
    groupNormGradient: (operands, [output], attributes) => {
      describeGroupNorm(operands, output, operands[0].shape, attributes);
      machine.exports.groupNormGradient();
    },
    groupNormParameterGradient: (operands, [output], attributes) => {
      describeGroupNorm(operands, output, operands[0].shape, attributes);
      const parts = machine.exports.groupNormParts();
      const partials = machine.memory.workspace(parts * sizeOf(output.shape) * 4);
      machine.exports.groupNormParameterGradient(partials);
    },
    normalize: ([x], [output, scale], { groups, epsilon }) => {
      describe(x, [scale, x, output], groups);
      machine.describeFloats([epsilon], 8);
      machine.exports.normalize();
    },
    normalizeGradient: ([normalized, scale, gradient], [output], { groups }) => {
      describe(normalized, [scale, gradient, output], groups);
      machine.exports.normalizeGradient();
    },
  };
}
