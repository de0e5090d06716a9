/** Moving elements: a strided copy, which the host uses for every operation that only moves data.
 *
 * The copy handles planes of rows × columns, split into tiles. The columns of the target are contiguous if the copy
 * allows it. In the source the columns are contiguous too, or the rows are (a transposition), or all have the same
 * address (a broadcast). Elements are 32-bit words of any type.
 */
import { storeLanes } from "./elementwise";
import { job, parallel } from "./pool";

/** The approximate number of elements in a task, and the maximum in a tile. */
const CHUNK: i32 = 16384;
/** The number of rows and columns of a transposed tile: as many as stay in the cache on both sides. */
const SIDE: i32 = 32;
/** The number of words from which `memory.copy` is used. */
const LONG: i32 = 256;
/** The offset in the job of the table of outer axes: each has its length and the steps of target and source in bytes. */
const AXES: usize = 128;

/** A copy; steps are in bytes. */
@unmanaged
class Move {
  // What the host writes to `job`.
  target: usize;
  source: usize;
  planes: i32;
  axes: i32; // the number of axes outside the planes, the innermost first in the table
  rows: i32;
  rowTarget: usize;
  rowSource: usize;
  columns: i32;
  columnTarget: usize;
  columnSource: usize;
  word: u32; // a constant that `source` may point to
  // Derived: a tile's size, the number of tiles of a plane and of a task.
  height: i32;
  width: i32;
  down: i32;
  across: i32;
  each: i32;
}

/** Copies `count` contiguous words. */
export function copyWords(to: usize, from: usize, count: i32): void {
  if (count >= LONG) {
    memory.copy(to, from, <usize> count << 2);
    return;
  }
  for (; count >= 4; count -= 4, to += 16, from += 16) v128.store(to, v128.load(from));
  for (; count > 0; count--, to += 4, from += 4) store<u32>(to, load<u32>(from));
}

/** Writes one word `count` times. */
function fillWords(to: usize, word: v128, count: i32): void {
  for (; count >= 4; count -= 4, to += 16) v128.store(to, word);
  if (count > 0) storeLanes(to, word, count);
}

/** Copies words one by one, with any strides. */
function scatterWords(m: Move, to: usize, from: usize, count: i32): void {
  for (; count > 0; count--, to += m.columnTarget, from += m.columnSource) {
    store<u32>(to, load<u32>(from));
  }
}

@inline
function storeUpTo4(to: usize, words: v128, count: i32): void {
  if (count >= 4) v128.store(to, words);
  else storeLanes(to, words, count);
}

/** Copies a tile whose rows are contiguous in the source and whose columns are contiguous in the target, in blocks of
 * four by four. */
function transposeTile(m: Move, target: usize, source: usize, rows: i32, columns: i32): void {
  const step = m.rowTarget, apart = m.columnSource, last = columns - 1;
  for (; rows > 0; rows -= 4, target += step << 2, source += 16) {
    for (let column = 0; column < columns; column += 4) {
      const a = v128.load(source + <usize> column * apart);
      const b = v128.load(source + <usize> min(column + 1, last) * apart);
      const c = v128.load(source + <usize> min(column + 2, last) * apart);
      const d = v128.load(source + <usize> min(column + 3, last) * apart);
      const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
      const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      const to = target + (<usize> column << 2), width = columns - column;
      storeUpTo4(to, v128.shuffle<i64>(ab, cd, 0, 2), width);
      if (rows > 1) storeUpTo4(to + step, v128.shuffle<i64>(ab, cd, 1, 3), width);
      if (rows > 2) storeUpTo4(to + step * 2, v128.shuffle<i64>(ef, gh, 0, 2), width);
      if (rows > 3) storeUpTo4(to + step * 3, v128.shuffle<i64>(ef, gh, 1, 3), width);
    }
  }
}

function transposes(m: Move): bool {
  return m.columnTarget == 4 && m.columnSource > 4 && m.rowSource == 4;
}

function moveTile(m: Move, target: usize, source: usize, rows: i32, columns: i32): void {
  if (transposes(m)) {
    transposeTile(m, target, source, rows, columns);
    return;
  }
  for (; rows > 0; rows--, target += m.rowTarget, source += m.rowSource) {
    if (m.columnTarget != 4 || m.columnSource > 4) scatterWords(m, target, source, columns);
    else if (m.columnSource == 4) copyWords(target, source, columns);
    else fillWords(target, v128.load32_splat(source), columns);
  }
}

function moveTask(index: i32): void {
  const m = changetype<Move>(job);
  const last = min((index + 1) * m.each, m.planes * m.down * m.across);
  for (let tile = index * m.each; tile < last; tile++) {
    const line = tile / m.across, column = (tile - line * m.across) * m.width;
    let plane = line / m.down;
    const row = (line - plane * m.down) * m.height;
    let target = m.target + <usize> row * m.rowTarget + <usize> column * m.columnTarget;
    let source = m.source + <usize> row * m.rowSource + <usize> column * m.columnSource;
    for (let axis = 0; axis < m.axes; axis++) {
      const entry = job + AXES + <usize> (axis * 12);
      const length = load<i32>(entry), next = plane / length;
      const place = <usize> (plane - next * length);
      target += place * load<usize>(entry, 4);
      source += place * load<usize>(entry, 8);
      plane = next;
    }
    moveTile(m, target, source, min(m.height, m.rows - row), min(m.width, m.columns - column));
  }
}

/** Runs the copy that `job` describes. Source and target do not overlap. */
export function move(): void {
  const m = changetype<Move>(job);
  const side = transposes(m) ? SIDE : 1, most = transposes(m) ? SIDE * SIDE : CHUNK;
  m.height = min(m.rows, max(side, most / m.columns));
  m.width = min(m.columns, most / m.height);
  m.down = (m.rows + m.height - 1) / m.height;
  m.across = (m.columns + m.width - 1) / m.width;
  m.each = max(1, CHUNK / (m.height * m.width));
  parallel(moveTask, (m.planes * m.down * m.across + m.each - 1) / m.each);
}
