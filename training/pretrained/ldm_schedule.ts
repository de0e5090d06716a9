/** Determines the noise schedule of a latent diffusion model from the βs in its file. */
import { NoiseSchedule, SCHEDULES } from "../../objectives/diffusion/schedule.ts";
import type { Settings } from "../presets.ts";

/** The files' βs are float32. */
const TOLERANCE = 1e-5;
/** Digits kept of the first and last β; float32 has seven. */
const DIGITS = 6;

/** The objective settings that give a schedule.
 * @param betas the β of every time step
 * @returns undefined if no schedule gives these βs
 */
export function scheduleOf(betas: ArrayLike<number>): Settings | undefined {
  const times = betas.length;
  if (times === 0) return undefined;
  const rounded = (beta: number) => Number(beta.toPrecision(DIGITS));
  const [first, last] = [rounded(betas[0]), rounded(betas[times - 1])];
  for (const type of SCHEDULES) {
    const ends = type === "cosine" ? {} : { first, last };
    if (type !== "cosine" && !(first > 0 && last < 1)) continue;
    const made = new NoiseSchedule({ type, times, ...ends }).betas;
    if (made.some((beta, time) => !(Math.abs(betas[time] / beta - 1) < TOLERANCE))) continue;
    return {
      ...{ schedule: type, times },
      ...type !== "cosine" && { firstBeta: first, lastBeta: last },
    };
  }
  return undefined;
}
