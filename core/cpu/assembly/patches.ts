/** Patches of channels-last images, packed directly into panels.
 *
 * A patch is split into segments of floats that are contiguous in the image: a kernel row if the taps of a row are
 * adjacent (dilation 1), else a single tap. A segment that crosses the image's edge is first copied to a buffer and
 * padded with zeros.
 */
import { scratch } from "./pool";
import { DEPTH, EDGES, POSITION_TABLE, ROWS, ZEROS } from "./gemm";
import { interleave6 } from "./pack";

/** How patches are taken from the images. */
@unmanaged
export class Patches {
  images: usize;
  height: i32;
  width: i32;
  channels: i32;
  /** Patches per image. */
  rows: i32;
  columns: i32;
  /** Steps from one patch to the next. */
  strideY: i32;
  strideX: i32;
  /** Where the first patch begins; it may be before the image. */
  offsetY: i32;
  offsetX: i32;
  /** Steps from one segment of a patch to the next. */
  stepY: i32;
  stepX: i32;
  /** Segments of a patch. */
  segmentsY: i32;
  segmentsX: i32;
  /** Floats of a segment. */
  length: i32;
}

/** Stores the positions of patches [first, first + count): image address, top row, left column. */
export function locate(p: Patches, first: i32, count: i32): void {
  const perImage = p.rows * p.columns;
  const imageBytes = <usize> (p.height * p.width * p.channels) << 2;
  let image = p.images + <usize> (first / perImage) * imageBytes;
  let y = (first % perImage) / p.columns, x = first % p.columns;
  let to = scratch + POSITION_TABLE;
  for (let i = 0; i < count; i++) {
    store<u32>(to, <u32> image);
    store<i32>(to, y * p.strideY + p.offsetY, 4);
    store<i32>(to, x * p.strideX + p.offsetX, 8);
    to += 12;
    if (++x == p.columns) {
      x = 0;
      if (++y == p.rows) {
        y = 0;
        image += imageBytes;
      }
    }
  }
}

/** The address of floats [first, first + count) of a segment of the index-th located patch. It may be in `edge`, which
 * has room for `count` floats. */
export function segmentAddress(
  p: Patches,
  index: i32,
  segmentY: i32,
  segmentX: i32,
  first: i32,
  count: i32,
  edge: usize,
): usize {
  const position = scratch + POSITION_TABLE + <usize> (index * 12);
  const y = load<i32>(position, 4) + segmentY * p.stepY;
  if (<u32> y >= <u32> p.height) return scratch + ZEROS;
  const width = p.width * p.channels;
  const start = (load<i32>(position, 8) + segmentX * p.stepX) * p.channels + first;
  const row = <usize> load<u32>(position) + (<usize> (y * width) << 2);
  if (start >= 0 && start + count <= width) return row + (<usize> start << 2);
  const low = max(0, -start), high = min(count, width - start);
  if (high <= low) return scratch + ZEROS;
  memory.fill(edge, 0, <usize> low << 2);
  memory.copy(
    edge + (<usize> low << 2),
    row + (<usize> (start + low) << 2),
    <usize> (high - low) << 2,
  );
  memory.fill(edge + (<usize> high << 2), 0, <usize> (count - high) << 2);
  return edge;
}

/** Packs floats [k, k + length) of `height` located patches into panels of A. */
export function packPatches(p: Patches, to: usize, height: i32, k: i32, length: i32): void {
  const end = k + length;
  const addresses = scratch;
  for (let i = 0; i < height; i += ROWS) {
    for (let at = k; at < end;) {
      const segment = at / p.length, first = at - segment * p.length;
      const count = min(p.length - first, end - at);
      const segmentY = segment / p.segmentsX, segmentX = segment - segmentY * p.segmentsX;
      for (let j = 0; j < ROWS; j++) {
        const edge = scratch + EDGES + <usize> (j * DEPTH << 2);
        const address = segmentAddress(
          p,
          min(i + j, height - 1),
          segmentY,
          segmentX,
          first,
          count,
          edge,
        );
        store<u32>(addresses + (<usize> j << 2), <u32> address);
      }
      interleave6(to, addresses, 0, count);
      to += <usize> (count * ROWS) << 2;
      at += count;
    }
  }
}
