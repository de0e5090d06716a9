/** The resolutions of a VQGAN: the width of each, and which of them have attention. */

/** The settings that determine the levels. */
export interface LevelSettings {
  /** The base number of channels, multiplied by each entry of `chMult`. */
  readonly ch: number;
  /** The channels of each level as multiples of `ch`, the finest level first. Between levels the side halves. */
  readonly chMult: readonly number[];
  /** Residual blocks per level; the decoder has one more. */
  readonly numResBlocks: number;
  /** The side of the images that `attnResolutions` refers to. Images of other sizes can be encoded too. */
  readonly resolution: number;
  /** The sides of the feature maps that have attention. */
  readonly attnResolutions: readonly number[];
  /** The number of groups of channels in every norm. */
  readonly groups: number;
}

/** One resolution. */
export interface LevelPlan {
  /** Channels of its blocks. */
  readonly width: number;
  /** Whether its blocks have attention. */
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
