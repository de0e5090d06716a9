/** The optimiser's step over all parameters in one job. Each thread takes one block after another, of any parameter. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";

/** What the host writes to `job`. */
@unmanaged
class Adam {
  blocks: usize; // an array of Block
  count: i32; // of blocks
  rate: f32;
  beta1: f32;
  rest1: f32; // 1 − β₁
  beta2: f32;
  rest2: f32; // 1 − β₂
  correction: f32;
  epsilon: f32;
  regularization: f32;
  keep: f32; // 1 − decay
}

/** Contiguous elements of one parameter. */
@unmanaged
class Block {
  gradient: usize;
  parameter: usize;
  first: usize; // moments
  second: usize;
  count: i32;
}

/** g ← g + regularization·p; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p·keep − rate·m/(√v/correction + ε) */
function adamTask(index: i32): void {
  const a = changetype<Adam>(job);
  const block = changetype<Block>(a.blocks + <usize> index * offsetof<Block>());
  const rate = constant(a.rate), correction = constant(a.correction), epsilon = constant(a.epsilon);
  const beta1 = constant(a.beta1), rest1 = constant(a.rest1);
  const beta2 = constant(a.beta2), rest2 = constant(a.rest2);
  const regularization = constant(a.regularization), keep = constant(a.keep);
  const gradients = block.gradient, parameters = block.parameter;
  const firsts = block.first, seconds = block.second;
  let at: usize = 0;
  for (let left = block.count; left > 0; left -= 4, at += 16) {
    const p = v128.load(parameters + at);
    const g = f32x4.add(v128.load(gradients + at), f32x4.mul(p, regularization));
    const m = f32x4.add(f32x4.mul(v128.load(firsts + at), beta1), f32x4.mul(g, rest1));
    const square = f32x4.mul(f32x4.mul(g, g), rest2);
    const v = f32x4.add(f32x4.mul(v128.load(seconds + at), beta2), square);
    const root = f32x4.add(f32x4.div(f32x4.sqrt(v), correction), epsilon);
    const next = f32x4.sub(f32x4.mul(p, keep), f32x4.div(f32x4.mul(m, rate), root));
    if (left >= 4) {
      v128.store(firsts + at, m);
      v128.store(seconds + at, v);
      v128.store(parameters + at, next);
    } else {
      storeLanes(firsts + at, m, left);
      storeLanes(seconds + at, v, left);
      storeLanes(parameters + at, next, left);
    }
  }
}

export function adam(): void {
  parallel(adamTask, changetype<Adam>(job).count);
}
