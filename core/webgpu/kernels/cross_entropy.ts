/** The cross-entropy of rows, and its gradient. */
import type { Kernels, View } from "../../backend.ts";
import type { CrossEntropyName } from "../../ops.ts";
import { floatFunctions } from "../float_functions.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { softmaxPairs, sumLines } from "./reductions.ts";

/** The scratch slots of the rows' pairs (maximum, Σ exp(x − maximum)) and of their sums. */
const PAIRS = 2, SUMS = 3;

/** The kernels of the cross-entropy. */
export function crossEntropyKernels(
  launcher: Launcher,
): Pick<Kernels<WebGpuBuffer>, CrossEntropyName> {
  const pairsOf = ({ shape: [rows, classes], buffer }: View<WebGpuBuffer>): WebGpuBuffer => {
    const pairs = launcher.scratch(PAIRS, rows * 8);
    softmaxPairs(launcher, buffer, pairs, { outer: rows, count: classes, inner: 1 });
    return pairs;
  };
  const sumsOf = ({ shape: [rows, classes], buffer }: View<WebGpuBuffer>): WebGpuBuffer => {
    const sums = launcher.scratch(SUMS, rows * 4);
    sumLines(launcher, buffer, sums, { outer: rows, count: classes, inner: 1 });
    return sums;
  };
  return {
    crossEntropy: ([logits, targets], [output], { smoothing }) => {
      const [rows, classes] = logits.shape;
      const pairs = pairsOf(logits);
      const sums = smoothing > 0 ? [sumsOf(logits)] : [];
      const own = smoothing < 1
        ? "(1.0 - numbers.smoothing) * (logits[index * numbers.classes + u32(target_class)] - pair.x)"
        : "0.0";
      const mean = smoothing > 0
        ? "numbers.smoothing * (sums[index] / f32(numbers.classes) - pair.x)"
        : "0.0";
      launcher.launch({
        key: `crossEntropy/${smoothing > 0}/${smoothing < 1}`,
        shader: () => ({
          inputs: [
            "logits: f32",
            "targets: i32",
            "pairs: vec2<f32>",
            ...smoothing > 0 ? ["sums: f32"] : [],
          ],
          outputs: ["losses: f32"],
          numbers: ["rows: u32", "classes: u32", "smoothing: f32"],
          declarations: floatFunctions(1, ["logarithm"]),
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.rows) { return; }
  let target_class = targets[index];
  if (target_class < 0) { losses[index] = 0.0; return; }
  if (u32(target_class) >= numbers.classes) { losses[index] = not_a_number(); return; }
  let pair = pairs[index];
  losses[index] = logarithm(pair.y) - ${own} - ${mean};`,
        }),
        inputs: [logits.buffer, targets.buffer, pairs, ...sums],
        outputs: [output.buffer],
        numbers: [rows, classes, floatBits(smoothing)],
        workgroups: workgroupsFor(rows),
      });
    },
    crossEntropyGradient: ([logits, targets, gradient], [output], { smoothing }) => {
      const [rows, classes] = logits.shape, total = rows * classes;
      launcher.launch({
        key: "crossEntropyGradient",
        shader: () => ({
          inputs: ["logits: f32", "targets: i32", "gradient: f32", "pairs: vec2<f32>"],
          outputs: ["slopes: f32"],
          numbers: ["total: u32", "classes: u32", "share: f32", "own: f32"],
          declarations: floatFunctions(1, ["exponential"]),
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.total) { return; }
  let row = index / numbers.classes;
  let target_class = targets[row];
  if (target_class < 0) { slopes[index] = 0.0; return; }
  if (u32(target_class) >= numbers.classes) { slopes[index] = not_a_number(); return; }
  let pair = pairs[row];
  let own = select(0.0, numbers.own, u32(target_class) == index % numbers.classes);
  let share = exponential(logits[index] - pair.x) / pair.y;
  slopes[index] = gradient[row] * (share - numbers.share - own);`,
        }),
        inputs: [logits.buffer, targets.buffer, gradient.buffer, pairsOf(logits)],
        outputs: [output.buffer],
        numbers: [total, classes, floatBits(smoothing / classes), floatBits(1 - smoothing)],
        workgroups: workgroupsFor(total),
      });
    },
  };
}
