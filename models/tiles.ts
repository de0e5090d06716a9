/** Splits large images into overlapping tiles. */

/** Size of the tiles, in pixels. */
export interface Tiling {
  /** The side of a tile. */
  readonly tile: number;
  /** Minimum overlap of neighbouring tiles. */
  readonly overlap: number;
}

/** The default tiling. */
export const USUAL_TILING: Tiling = { tile: 512, overlap: 64 };

/** Rejects tiles that do not fit a model.
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
  /** The start of the tile. */
  readonly start: number;
  /** Start of the part that is used from this tile: the middle of the overlap with the previous tile. */
  readonly from: number;
  /** End of that part. */
  readonly to: number;
}

/** The tiles along one axis: as few as possible, all of the same length, spread evenly.
 *
 * ```ts
 * import { tileSpans } from "./tiles.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(tileSpans(8, { tile: 5, overlap: 2 }), [
 *   { start: 0, from: 0, to: 4 },
 *   { start: 3, from: 4, to: 8 },
 * ]);
 * ```
 * @param side the side of the image
 * @param tiling in the same unit as the side; a side that is not longer than a tile gets a single tile
 */
export function tileSpans(side: number, { tile, overlap }: Tiling): readonly TileSpan[] {
  const count = side <= tile ? 1 : Math.ceil((side - overlap) / (tile - overlap));
  const starts = Array.from(
    { length: count },
    (_, at) => count === 1 ? 0 : Math.round(at * (side - tile) / (count - 1)),
  );
  // The middle of each overlap.
  const cuts = starts.slice(1).map((next, at) => Math.floor((next + starts[at] + tile) / 2));
  return starts.map((start, at) => ({ start, from: cuts[at - 1] ?? 0, to: cuts[at] ?? side }));
}

/** Blending weights of a tile along one axis: 1 inside, and a linear ramp around each cut, over half of the overlap. The outer
 * quarter of the overlap gets weight 0, because there the tile's border influences the result most. The weights of all tiles
 * sum to 1 at each position.
 * @param span the tile
 * @param length the length of the tile
 * @param side the side of the image
 * @param overlap the minimum overlap of neighbouring tiles
 */
export function tileWeights(
  { start, from, to }: TileSpan,
  { length, side, overlap }: { length: number; side: number; overlap: number },
): Float32Array<ArrayBuffer> {
  const ramp = Math.max(1, overlap / 2);
  // From 0 before a cut to 1 after it.
  const behind = (place: number, cut: number) =>
    Math.min(1, Math.max(0, (place + 0.5 - cut) / ramp + 0.5));
  return Float32Array.from({ length }, (_, at) => {
    const entered = from === 0 ? 1 : behind(start + at, from);
    const left = to === side ? 0 : behind(start + at, to);
    return entered - left;
  });
}
