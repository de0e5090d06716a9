/** The optimiser's step. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";

const CHUNK: i32 = 8192;

/** What the host writes to `job`. */
@unmanaged
class Adam {
  gradient: usize;
  parameter: usize;
  first: usize; // moments
  second: usize;
  count: i32;
  rate: f32;
  beta1: f32;
  rest1: f32; // 1 − β₁
  beta2: f32;
  rest2: f32; // 1 − β₂
  correction: f32;
  epsilon: f32;
  keep: f32; // 1 − decay
}

/** m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p·keep − rate·m/(√v/correction + ε) */
function adamTask(index: i32): void {
  const a = changetype<Adam>(job);
  const rate = constant(a.rate), correction = constant(a.correction), keep = constant(a.keep);
  let at = <usize> (index * CHUNK) << 2;
  for (let left = min(CHUNK, a.count - index * CHUNK); left > 0; left -= 4, at += 16) {
    const g = v128.load(a.gradient + at), p = v128.load(a.parameter + at);
    const m = f32x4.add(
      f32x4.mul(v128.load(a.first + at), constant(a.beta1)),
      f32x4.mul(g, constant(a.rest1)),
    );
    const v = f32x4.add(
      f32x4.mul(v128.load(a.second + at), constant(a.beta2)),
      f32x4.mul(f32x4.mul(g, g), constant(a.rest2)),
    );
    const root = f32x4.add(f32x4.div(f32x4.sqrt(v), correction), constant(a.epsilon));
    const next = f32x4.sub(f32x4.mul(p, keep), f32x4.div(f32x4.mul(m, rate), root));
    if (left >= 4) {
      v128.store(a.first + at, m);
      v128.store(a.second + at, v);
      v128.store(a.parameter + at, next);
    } else {
      storeLanes(a.first + at, m, left);
      storeLanes(a.second + at, v, left);
      storeLanes(a.parameter + at, next, left);
    }
  }
}

export function adam(): void {
  parallel(adamTask, (changetype<Adam>(job).count + CHUNK - 1) / CHUNK);
}
