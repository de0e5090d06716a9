/** The resolutions of a VQGAN: how wide each is, and which of them attend. */

/** The settings that decide it. */
export interface LevelSettings {
  /** Channels that the multiples count in. */
  readonly ch: number;
  /** Channels of each level, the finest first, as multiples of `ch`; between levels the side halves. */
  readonly chMult: readonly number[];
  /** Residual blocks per level; the decoder has one more. */
  readonly numResBlocks: number;
  /** The side of the images that attention resolutions are meant for; other images can be encoded too. */
  readonly resolution: number;
  /** The sides of the grids that attend. */
  readonly attnResolutions: readonly number[];
  /** Groups of channels in every norm. */
  readonly groups: number;
}

/** One resolution. */
export interface LevelPlan {
  /** Channels of its blocks. */
  readonly width: number;
  /** Whether its blocks attend. */
  readonly attends: boolean;
}

/** The levels, the finest first.
 *
 * ```ts
 * import { planLevels } from "./levels.ts";
 * import assert from "node:assert/strict";
 * const settings = { ch: 16, numResBlocks: 1, groups: 8 };
 * const levels = planLevels({ ...settings, chMult: [1, 2], resolution: 32, attnResolutions: [16] });
 * assert.deepEqual(levels, [{ width: 16, attends: false }, { width: 32, attends: true }]);
 * ```
 * @throws {RangeError} there is no level, halving leaves a remainder, no level has an attention resolution, or the groups
 * do not divide the channels
 */
export function planLevels(settings: LevelSettings): readonly LevelPlan[] {
  const { ch, chMult, resolution, attnResolutions, groups } = settings;
  const factor = 2 ** (chMult.length - 1);
  const fail = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot make a VQGAN: ${requirement}, got ${actual}`);
  };
  if (chMult.length === 0) fail("chMult must have a number for each level", "none");
  if (resolution % factor !== 0) {
    fail(
      `the resolution must be divisible by ${factor} for ${chMult.length} levels`,
      `${resolution}`,
    );
  }
  const resolutions = chMult.map((_, level) => resolution / 2 ** level);
  const strange = attnResolutions.find((side) => !resolutions.includes(side));
  if (strange !== undefined) {
    fail(
      `attnResolutions must be among those of the levels, ${resolutions.join(", ")}`,
      `${strange}`,
    );
  }
  const widths = chMult.map((multiple) => ch * multiple);
  const odd = [ch, ...widths].find((width) => width % groups !== 0);
  if (odd !== undefined) {
    fail(`groups must divide the channels of every norm, such as ${odd}`, `${groups}`);
  }
  return widths.map((width, level) => ({
    width,
    attends: attnResolutions.includes(resolutions[level]),
  }));
}
