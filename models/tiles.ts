/** How an image that is too large for a network at once is cut into tiles that overlap. */

/** How images are cut, in pixels. */
export interface Tiling {
  /** The side of a tile. */
  readonly tile: number;
  /** The least that neighbours have in common. */
  readonly overlap: number;
}

/** What images are cut into where nobody says otherwise. */
export const USUAL_TILING: Tiling = { tile: 512, overlap: 64 };

/** Refuses tiles that a model cannot take.
 * @throws {RangeError} a tile or an overlap is not divisible by the downsampling, or tiles overlap by more than half
 */
export function checkTiling({ tile, overlap }: Tiling, downsampling: number): void {
  const fits = [tile, overlap].every((length) => Number.isInteger(length / downsampling));
  if (fits && tile > 0 && overlap >= 0 && 2 * overlap <= tile) return;
  throw new RangeError(
    `Cannot cut images into tiles: tile and overlap must be divisible by ${downsampling}, and the overlap at most half ` +
      `of the tile, got ${tile} and ${overlap}`,
  );
}

/** A tile along one axis. */
export interface TileSpan {
  /** Where it begins. */
  readonly start: number;
  /** Where what is taken from it begins: halfway through what it shares with the tile before. */
  readonly from: number;
  /** Where that ends. */
  readonly to: number;
}

/** The tiles along one axis: as few as reach its end, all of one length, spread evenly.
 *
 * ```ts
 * import { tileSpans } from "./tiles.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(tileSpans(8, { tile: 5, overlap: 2 }), [
 *   { start: 0, from: 0, to: 4 },
 *   { start: 3, from: 4, to: 8 },
 * ]);
 * ```
 * @param side of the image
 * @param tiling in the side's unit; of a side that is no longer than a tile there is one, of the whole side
 */
export function tileSpans(side: number, { tile, overlap }: Tiling): readonly TileSpan[] {
  const count = side <= tile ? 1 : Math.ceil((side - overlap) / (tile - overlap));
  const starts = Array.from(
    { length: count },
    (_, at) => count === 1 ? 0 : Math.round(at * (side - tile) / (count - 1)),
  );
  // Halfway between where the next one begins and where this one ends.
  const cuts = starts.slice(1).map((next, at) => Math.floor((next + starts[at] + tile) / 2));
  return starts.map((start, at) => ({ start, from: cuts[at - 1] ?? 0, to: cuts[at] ?? side }));
}

/** The weight of each place of a tile where tiles are laid over each other: 1 inside, and a ramp about each cut over half
 * of the overlap. What is nearer to an edge than a quarter of the overlap has none: that is where a tile differs from the
 * whole image. At each place of the image the weights of all tiles add up to 1.
 * @param span the tile
 * @param length of the tile
 * @param side of the image
 * @param overlap the least that neighbours have in common
 */
export function tileWeights(
  { start, from, to }: TileSpan,
  { length, side, overlap }: { length: number; side: number; overlap: number },
): Float32Array<ArrayBuffer> {
  const ramp = Math.max(1, overlap / 2);
  // The share of what lies behind a cut; there is nothing before the image, nor behind it.
  const behind = (place: number, cut: number) =>
    Math.min(1, Math.max(0, (place + 0.5 - cut) / ramp + 0.5));
  return Float32Array.from({ length }, (_, at) => {
    const entered = from === 0 ? 1 : behind(start + at, from);
    const left = to === side ? 0 : behind(start + at, to);
    return entered - left;
  });
}
