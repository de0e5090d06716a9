/** The gradient of a convolution's filter: the transposed patches times the gradient of the output. */
import { job, parallel, scratch } from "./pool";
import { ADD, block, COLUMNS, DEPTH, EDGES, PANELS_A, PANELS_B, ROW_TABLE, ROWS } from "./gemm";
import { take8 } from "./pack";
import { sumParts } from "./parts";
import { describePatches, geometry } from "./geometry";
import { locate, Patches, segmentAddress } from "./patches";

const BLOCK_TILES: i32 = 32;
const BLOCK_COLUMNS: i32 = 256;
/** The number of patches that are packed at once. Panels of this length do not map to the same cache lines. */
const STEP: i32 = 504;
const ENOUGH_TASKS: i32 = 24;

@unmanaged
class FilterGradient extends Patches {
  gradient: usize;
  output: usize;
  partials: usize;
  patches: i32;
  outputs: i32;
  tilesPerSegment: i32;
  tiles: i32;
  size: i32; // floats of the filter
  splits: i32;
  splitPatches: i32;
}

/** Packs tiles [first, last) of the transposed patches [patch, patch + count). */
function packTiles(p: FilterGradient, first: i32, last: i32, patch: i32, count: i32): void {
  locate(p, patch, count);
  const edge = scratch + EDGES;
  const panelBytes = <usize> (count * ROWS) << 2;
  for (let tile = first; tile < last;) {
    const segment = tile / p.tilesPerSegment, inside = tile - segment * p.tilesPerSegment;
    const tiles = min(p.tilesPerSegment - inside, last - tile);
    const start = inside * ROWS, floats = min(tiles * ROWS, p.length - start);
    const segmentY = segment / p.segmentsX, segmentX = segment - segmentY * p.segmentsX;
    const panels = scratch + PANELS_A + <usize> (tile - first) * panelBytes;
    for (let i = 0; i < count; i++) {
      let from = segmentAddress(p, i, segmentY, segmentX, start, floats, edge);
      let to = panels + <usize> (i * ROWS << 2);
      for (let j = 0; j < tiles; j++) {
        v128.store(to, v128.load(from));
        store<u64>(to, load<u64>(from, 16), 16);
        from += ROWS << 2;
        to += panelBytes;
      }
    }
    tile += tiles;
  }
}

function gradientTask(index: i32): void {
  const p = changetype<FilterGradient>(job);
  const tileBlocks = (p.tiles + BLOCK_TILES - 1) / BLOCK_TILES;
  const columnBlocks = (p.outputs + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
  const tileBlock = index % tileBlocks;
  const columnBlock = (index / tileBlocks) % columnBlocks;
  const split = index / (tileBlocks * columnBlocks);
  const firstTile = tileBlock * BLOCK_TILES, lastTile = min(firstTile + BLOCK_TILES, p.tiles);
  const column = columnBlock * BLOCK_COLUMNS, width = min(BLOCK_COLUMNS, p.outputs - column);
  const target = p.splits == 1 ? p.output : p.partials + (<usize> (split * p.size) << 2);
  const first = split * p.splitPatches, last = min(first + p.splitPatches, p.patches);
  for (let patch = first; patch < last; patch += STEP) {
    const count = min(STEP, last - patch);
    packTiles(p, firstTile, lastTile, patch, count);
    for (let j = 0; j < width; j += COLUMNS) {
      take8(
        scratch + PANELS_B + (<usize> (j * count) << 2),
        p.gradient + (<usize> (patch * p.outputs + column + j) << 2),
        <usize> p.outputs << 2,
        count,
      );
    }
    for (let tile = firstTile; tile < lastTile;) {
      const segment = tile / p.tilesPerSegment, inside = tile - segment * p.tilesPerSegment;
      const tiles = min(p.tilesPerSegment - inside, lastTile - tile);
      const start = inside * ROWS, height = min(tiles * ROWS, p.length - start);
      for (let i = 0; i < height; i++) {
        const row = (segment * p.length + start + i) * p.outputs;
        store<u32>(scratch + ROW_TABLE + (<usize> i << 2), <u32> (target + (<usize> row << 2)));
      }
      block(
        count,
        scratch + PANELS_A + (<usize> ((tile - firstTile) * count * ROWS) << 2),
        scratch + PANELS_B,
        scratch + ROW_TABLE,
        height,
        column,
        width,
        patch > first ? ADD : 0,
        0,
      );
      tile += tiles;
    }
  }
}

/** The number of parts into which the patches are split, for the geometry in `geometry()`. If it is more than 1,
 * `partials` needs room for as many filters. */
export function filterSplits(): i32 {
  const g = geometry();
  const touching = g.dilationX == 1;
  const segments = touching ? g.kernelY : g.kernelY * g.kernelX;
  const length = touching ? g.kernelX * g.inputs : g.inputs;
  const tiles = segments * ((length + ROWS - 1) / ROWS);
  const blocks = ((tiles + BLOCK_TILES - 1) / BLOCK_TILES) *
    ((g.outputs + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
  const wanted = (ENOUGH_TASKS + blocks - 1) / blocks;
  const steps = (g.batch * g.rows * g.columns + STEP - 1) / STEP;
  return max(1, min(wanted, steps / 2));
}

/** w = the gradient of conv2d's filter, from its input and the gradient of its output. */
export function conv2dFilter(x: usize, gradient: usize, w: usize, partials: usize): void {
  const g = geometry(), p = changetype<FilterGradient>(job);
  describePatches(p, g, x);
  p.gradient = gradient;
  p.output = w;
  p.partials = partials;
  p.patches = g.batch * g.rows * g.columns;
  p.outputs = g.outputs;
  p.tilesPerSegment = (p.length + ROWS - 1) / ROWS;
  p.tiles = p.segmentsY * p.segmentsX * p.tilesPerSegment;
  p.size = p.segmentsY * p.segmentsX * p.length * g.outputs;
  const steps = (p.patches + STEP - 1) / STEP, splits = filterSplits();
  p.splitPatches = ((steps + splits - 1) / splits) * STEP;
  p.splits = (p.patches + p.splitPatches - 1) / p.splitPatches;
  const blocks = ((p.tiles + BLOCK_TILES - 1) / BLOCK_TILES) *
    ((g.outputs + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
  parallel(gradientTask, blocks * p.splits);
  if (p.splits > 1) sumParts(partials, w, p.size, p.splits);
}
