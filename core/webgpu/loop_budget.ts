/** The limit on a thread's loop iterations.
 *
 * Mesa's software adapter compiles shaders with gallivm, which counts down from 65,535 over all loops of a thread,
 * inner and outer. Each loop costs its iterations plus one. At zero every loop ends early, and the shader continues
 * with the values so far. So kernels split the work of a thread to stay below the limit, and reject what they cannot
 * split. Reductions are safe: they share at most 2²⁵ elements, the limit of a buffer on that adapter, among a thousand
 * threads.
 */
import type { Launcher } from "./launch.ts";

const SOFTWARE_TURNS = 65_000;

/** How many iterations the loops of a thread may take together, with nested loops multiplied. A real GPU has no
 * limit. */
export function loopBudget({ isSoftware }: Pick<Launcher, "isSoftware">): number {
  return isSoftware ? SOFTWARE_TURNS : Infinity;
}

/** Rejects a kernel whose threads would exceed the adapter's loop budget.
 * @throws {RangeError} they would exceed it
 */
export function checkLoops(launcher: Launcher, name: string, turns: number): void {
  const most = loopBudget(launcher);
  if (turns <= most) return;
  throw new RangeError(
    `Cannot run ${name} on a software adapter: the loops of a thread must run at most ${most} iterations, ` +
      `got ${turns}; the device cpu has no such limit`,
  );
}
