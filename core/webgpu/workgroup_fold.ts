/** Merging a value of each thread of a workgroup to one value, which every thread gets.
 *
 * Without subgroups, the values are merged in a tree in workgroup memory, with a barrier for each of its levels. With
 * subgroups, each of them merges its values first, and its first thread stores the result at the place of its own number
 * and marks the place. After a single barrier, every thread merges the marked results in the order of their places. This
 * assumes nothing of which threads form a subgroup. The order does not depend on which subgroup is first, so the same
 * device gives the same bits every time.
 */
import type { Launcher } from "./launch.ts";

/** The WGSL of what is merged, for an accumulator of type `A`. */
export interface Merging {
  /** Defines `identity() -> A` and `merge(a: A, b: A) -> A`. */
  readonly text: string;
  /** Defines `across(mine: A) -> A`, which merges the values of a subgroup. */
  readonly across: string;
}

/** Sums of numbers or vectors of float32. */
export const SUMS: Merging = {
  text: `
fn identity() -> A { return A(); }
fn merge(a: A, b: A) -> A { return a + b; }`,
  across: `
fn across(mine: A) -> A { return subgroupAdd(mine); }`,
};

const tree = (threads: number): string => `
fn fold(mine: A, local: u32) -> A {
  totals[local] = mine;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (local < half) { totals[local] = merge(totals[local], totals[local + half]); }
    workgroupBarrier();
  }
  let total = totals[0];
  workgroupBarrier();
  return total;
}`;

const bySubgroups = (words: number): string => `
var<workgroup> marked: array<atomic<u32>, ${words}>;
fn fold(mine: A, local: u32) -> A {
  let merged = across(mine);
  if (local == subgroupBroadcastFirst(local)) {
    totals[local] = merged;
    atomicOr(&marked[local / 32u], 1u << (local % 32u));
  }
  workgroupBarrier();
  var total = identity();
  for (var word = 0u; word < ${words}u; word++) {
    for (var bits = atomicLoad(&marked[word]); bits != 0u; bits &= bits - 1u) {
      total = merge(total, totals[32u * word + firstTrailingBit(bits)]);
    }
  }
  workgroupBarrier();
  return total;
}`;

/** WGSL after `alias A`: what is merged, and `fold(mine: A, local: u32) -> A` for a workgroup of `threads` threads, a
 * power of two. All its threads must call `fold`. A shader that has it sets `subgroups` if the launcher has them. */
export function foldText(
  { subgroups }: Pick<Launcher, "subgroups">,
  { text, across }: Merging,
  threads: number,
): string {
  return [
    text,
    `var<workgroup> totals: array<A, ${threads}>;`,
    subgroups === undefined ? tree(threads) : across + bySubgroups(Math.ceil(threads / 32)),
  ].join("\n");
}
