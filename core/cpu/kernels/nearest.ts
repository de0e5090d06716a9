/** The nearest key of every query. */
import type { Kernel } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";
import { keyWords } from "./random.ts";

const PANEL = 8; // keys that are packed side by side
const NOISE = 16; // in words: where the module expects the key of the noise
const LONGEST = 32768; // eight keys of this length fill half of a thread's scratch memory

/** The kernel of nearest keys. */
export function nearestKernels(
  machine: Machine,
): { readonly nearest: Kernel<Attributes["nearest"], CpuBuffer> } {
  return {
    nearest: ([queries, keys], [output], { distance, noise }) => {
      const [count, depth] = queries.shape, size = keys.shape[0];
      if (depth > LONGEST) {
        throw new RangeError(
          `Cannot find nearest keys on cpu: vectors must have at most ${LONGEST} elements, got ${depth}`,
        );
      }
      const padded = Math.ceil(size / PANEL) * PANEL;
      const packed = machine.memory.workspace(padded * (depth + 1) * 4);
      machine.describe([
        queries.buffer.address,
        keys.buffer.address,
        output.buffer.address,
        packed,
        packed + padded * depth * 4,
        count,
        size,
        depth,
        Number(distance === "cos"),
        Number(noise !== undefined),
      ]);
      if (noise !== undefined) machine.describe(keyWords(noise), NOISE);
      machine.exports.nearest();
    },
  };
}
