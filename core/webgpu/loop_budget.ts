/** How often a thread's loops may turn.
 *
 * Mesa's software adapter compiles shaders with gallivm, which counts down from 65,535 over all loops that a thread
 * runs, inner and outer, by one more than each one's turns; at zero it leaves every loop, and the shader goes on with
 * what it has by then. So kernels cut what a thread does to fewer turns there, and refuse what they cannot cut.
 * Reductions need no care: they share what a buffer of that adapter holds, 2²⁵ elements, among a thousand threads.
 */
import type { Launcher } from "./launch.ts";

const SOFTWARE_TURNS = 65_000;

/** Turns that a thread's loops may take together, those of inner loops multiplied: no bound on a real GPU. */
export function loopBudget({ isSoftware }: Pick<Launcher, "isSoftware">): number {
  return isSoftware ? SOFTWARE_TURNS : Infinity;
}

/** Refuses a kernel whose threads' loops would take more turns than the adapter runs.
 * @throws {RangeError} they would
 */
export function checkLoops(launcher: Launcher, name: string, turns: number): void {
  const most = loopBudget(launcher);
  if (turns <= most) return;
  throw new RangeError(
    `Cannot run ${name} on a software adapter: the loops of a thread must take at most ${most} turns, ` +
      `got ${turns}; the device cpu has no such bound`,
  );
}
