/** Lines that fit into one workgroup's memory: read once, folded, written once. */
import type { Launcher } from "./launch.ts";

/** How a workgroup holds a line. */
export interface HeldLine {
  /** Threads of the workgroup, a power of two. */
  readonly threads: number;
  /** The number of elements that fit, at least the length of the line. */
  readonly places: number;
}

/** The vector width of the software adapter: with no more threads than this, a barrier costs nothing. */
const SOFTWARE_THREADS = 8;
const MOST_THREADS = 256;
const ELEMENTS_PER_THREAD = 4;

const powerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least));

/** How to hold a line of `count` elements, each of a number of words. Undefined if it takes more than half of a
 * workgroup's memory, so that two workgroups fit. */
export function holdLine(
  { isSoftware, limits }: Launcher,
  count: number,
  words: number,
): HeldLine | undefined {
  const room = Math.floor(limits.maxComputeWorkgroupStorageSize / (2 * 4 * words));
  if (count > room) return undefined;
  const wanted = powerOfTwo(Math.ceil(count / ELEMENTS_PER_THREAD));
  return {
    threads: isSoftware ? SOFTWARE_THREADS : Math.min(Math.max(wanted, 32), MOST_THREADS),
    places: Math.min(powerOfTwo(count), room),
  };
}

/** WGSL: `held`, an array of `element`. Each thread uses only the positions ≡ `local` modulo the threads, so `held` needs
 * no barrier. */
export function heldLineText({ places }: HeldLine, element: string): string {
  return `var<workgroup> held: array<${element}, ${places}>;`;
}
