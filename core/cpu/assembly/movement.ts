/** Moving elements, 32-bit words of any type: copies from one strided place to another, and filling. */
import { job, parallel } from "./pool";

/** Elements that are worth a task. */
const CHUNK: i32 = 16384;
/** Where the table of outer axes lies in the job: for each, its length and the bytes that source and target step. */
const AXES: usize = 32;

/** What the host writes to `job`. */
@unmanaged
class Copy {
  count: i32;
  inner: i32; // length of the innermost axis
  axes: i32; // how many lie outside of it, the nearest first in the table
  from: usize;
  to: usize;
  stepFrom: usize; // bytes along the innermost axis
  stepTo: usize;
}

function copyRun(from: usize, to: usize, count: i32): void {
  const c = changetype<Copy>(job);
  const stepFrom = c.stepFrom, stepTo = c.stepTo;
  if (stepFrom == 4 && stepTo == 4) {
    memory.copy(to, from, <usize> count << 2);
    return;
  }
  let left = count;
  if (stepTo == 4) {
    for (; left >= 4; left -= 4, to += 16) {
      let words = v128.load32_splat(from);
      words = v128.load32_lane(from + stepFrom, words, 1);
      words = v128.load32_lane(from + 2 * stepFrom, words, 2);
      words = v128.load32_lane(from + 3 * stepFrom, words, 3);
      v128.store(to, words);
      from += 4 * stepFrom;
    }
  }
  for (; left > 0; left--, from += stepFrom, to += stepTo) store<u32>(to, load<u32>(from));
}

function copyTask(index: i32): void {
  const c = changetype<Copy>(job);
  const last = min((index + 1) * CHUNK, c.count);
  for (let at = index * CHUNK; at < last;) {
    let rest = at / c.inner;
    const within = at - rest * c.inner, count = min(c.inner - within, last - at);
    let from = c.from + <usize> within * c.stepFrom, to = c.to + <usize> within * c.stepTo;
    for (let axis = 0; axis < c.axes; axis++) {
      const entry = job + AXES + <usize> (axis * 12);
      const length = load<i32>(entry), next = rest / length;
      const place = <usize> (rest - next * length);
      from += place * load<usize>(entry, 4);
      to += place * load<usize>(entry, 8);
      rest = next;
    }
    copyRun(from, to, count);
    at += count;
  }
}

/** Copies what `job` describes; source and target do not overlap. */
export function copyStrided(): void {
  parallel(copyTask, (changetype<Copy>(job).count + CHUNK - 1) / CHUNK);
}

/** What the host writes to `job`. */
@unmanaged
class Fill {
  to: usize;
  count: i32;
  word: u32;
}

function fillTask(index: i32): void {
  const f = changetype<Fill>(job);
  const word = i32x4.splat(f.word);
  let to = f.to + (<usize> (index * CHUNK) << 2), left = min(CHUNK, f.count - index * CHUNK);
  for (; left >= 4; left -= 4, to += 16) v128.store(to, word);
  for (; left > 0; left--, to += 4) store<u32>(to, f.word);
}

/** Fills an array with one word. */
export function fill(): void {
  parallel(fillTask, (changetype<Fill>(job).count + CHUNK - 1) / CHUNK);
}
