/** Patches of channels-last images below each other, as BLAS takes and gives them. */
import { scratch } from "../pool";
import { POSITION_TABLE } from "../gemm";
import { Patches } from "../patches";

// Where the last run of a patch's floats lies that was placed.
/** The image's row. */
let row: i32 = 0;
/** The address of its first float, were the row longer than it is. */
let address: usize = 0;
/** Which of its floats are inside the row: [low, high). */
let low: i32 = 0;
let high: i32 = 0;

/** Places floats [first, first + count) of a segment of the index-th located patch. */
@inline
function place(p: Patches, index: i32, segment: i32, first: i32, count: i32): void {
  const position = scratch + POSITION_TABLE + <usize> (index * 12);
  const segmentY = segment / p.segmentsX, segmentX = segment - segmentY * p.segmentsX;
  const width = p.width * p.channels;
  const start = (load<i32>(position, 8) + segmentX * p.stepX) * p.channels + first;
  row = load<i32>(position, 4) + segmentY * p.stepY;
  address = <usize> load<u32>(position) + (<usize> (row * width + start) << 2);
  low = min(max(0, -start), count);
  high = max(low, min(count, width - start));
}

@inline
function clear(to: usize, floats: i32): void {
  for (; floats > 0; floats -= 4, to += 16) v128.store(to, f32x4.splat(0));
}

/** Lays floats [k, k + length) of the first `count` located patches below each other. Up to three floats behind them
 * are overwritten. */
export function copyPatches(p: Patches, to: usize, count: i32, k: i32, length: i32): void {
  for (let index = 0; index < count; index++) {
    for (let at = k; at < k + length;) {
      const segment = at / p.length, first = at - segment * p.length;
      const floats = min(p.length - first, k + length - at);
      place(p, index, segment, first, floats);
      if (<u32> row >= <u32> p.height) {
        clear(to, floats);
      } else {
        clear(to, low);
        let from = address + (<usize> low << 2), into = to + (<usize> low << 2);
        for (let left = high - low; left > 0; left -= 4, from += 16, into += 16) {
          v128.store(into, v128.load(from));
        }
        clear(to + (<usize> high << 2), floats - high);
      }
      to += <usize> floats << 2;
      at += floats;
    }
  }
}

/** Adds to the images floats [k, k + length) of the first `count` located patches, which lie below each other, as far
 * as they fall onto rows [top, bottom). */
export function addPatches(
  p: Patches,
  from: usize,
  count: i32,
  k: i32,
  length: i32,
  top: i32,
  bottom: i32,
): void {
  for (let index = 0; index < count; index++) {
    for (let at = k; at < k + length;) {
      const segment = at / p.length, first = at - segment * p.length;
      const floats = min(p.length - first, k + length - at);
      place(p, index, segment, first, floats);
      if (row >= top && row < bottom) {
        let to = address + (<usize> low << 2), term = from + (<usize> low << 2);
        let left = high - low;
        for (; left >= 4; left -= 4, to += 16, term += 16) {
          v128.store(to, f32x4.add(v128.load(to), v128.load(term)));
        }
        for (; left > 0; left--, to += 4, term += 4) {
          store<f32>(to, load<f32>(to) + load<f32>(term));
        }
      }
      from += <usize> floats << 2;
      at += floats;
    }
  }
}
