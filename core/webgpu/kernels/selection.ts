/** The kernel that selects the element of a given rank in every line.
 *
 * A workgroup takes a line and finds the element's word digit by digit, the most significant first. It takes the
 * elements that start with the digits found so far, counts them by their next digit, and chooses the digit that
 * contains the rank.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { floatFunctions } from "../float_functions.ts";
import type { Launcher } from "../launch.ts";
import { checkLoops } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";

const THREADS = 64;
const DIGITS = 256;

/** The selection kernel. */
export function selectionKernels(
  launcher: Launcher,
): { readonly kthValue: Kernel<Attributes["kthValue"], WebGpuBuffer> } {
  return {
    kthValue: ([input], [output], { rank }) => {
      const [outer, count, inner] = input.shape;
      const lines = outer * inner;
      const turns = Math.ceil(count / THREADS) + DIGITS / THREADS + DIGITS + 3;
      checkLoops(launcher, "kthValue", 4 * turns);
      launcher.launch({
        key: "kthValue",
        shader: () => ({
          inputs: ["x: f32"],
          outputs: ["selected: f32"],
          numbers: ["lines: u32", "count: u32", "inner: u32", "rank: u32"],
          declarations: `${floatFunctions(1, ["ordered"])}
var<workgroup> counts: array<atomic<u32>, ${DIGITS}>;
var<workgroup> found: u32;
var<workgroup> rank: u32;
fn word_of(x: f32) -> u32 { return select(ordered(x), 0xffffffffu, is_nan(x)); }`,
          workgroupSize: THREADS,
          body: `
  if (group >= numbers.lines) { return; }
  let start = (group / numbers.inner) * numbers.count * numbers.inner + group % numbers.inner;
  if (local == 0u) { rank = numbers.rank; }
  for (var place = 0u; place < 4u; place++) {
    let shift = 24u - 8u * place;
    for (var digit = local; digit < ${DIGITS}u; digit += ${THREADS}u) { atomicStore(&counts[digit], 0u); }
    workgroupBarrier();
    for (var i = local; i < numbers.count; i += ${THREADS}u) {
      let word = word_of(x[start + i * numbers.inner]);
      if ((((word ^ found) >> shift) >> 8u) == 0u) { atomicAdd(&counts[(word >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (local == 0u) {
      var digit = 0u;
      for (; digit < ${DIGITS - 1}u; digit++) {
        let held = atomicLoad(&counts[digit]);
        if (rank < held) { break; }
        rank -= held;
      }
      found |= digit << shift;
    }
    workgroupBarrier();
  }
  if (local == 0u) { selected[group] = from_ordered(found); }`,
        }),
        inputs: [input.buffer],
        outputs: [output.buffer],
        numbers: [lines, count, inner, rank],
        workgroups: lines,
      });
    },
  };
}
