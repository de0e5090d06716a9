/** What every way to compute a group normalisation works on. */
import { constant, sigmoid } from "./math";

/** What the host writes to `job`. */
@unmanaged
export class GroupNorm {
  x: usize;
  statistics: usize; // mean and 1/σ, [batch, groups, 2]
  gradient: usize;
  gain: usize;
  shift: usize; // 0: none
  out: usize;
  batch: i32;
  positions: i32;
  channels: i32;
  groups: i32;
  centred: i32;
  silu: i32;
  epsilon: f32;
}

/** gain·x̂ + shift of four channels from `channel` bytes on. */
@inline
export function scaled(n: GroupNorm, normalized: v128, channel: usize): v128 {
  const u = f32x4.mul(normalized, v128.load(n.gain + channel));
  return n.shift ? f32x4.add(u, v128.load(n.shift + channel)) : u;
}

/** g·(dy/du) of four channels. */
@inline
export function slope(n: GroupNorm, g: v128, normalized: v128, channel: usize): v128 {
  if (!n.silu) return g;
  const one = constant(1), u = scaled(n, normalized, channel), s = sigmoid(u);
  const rest = f32x4.mul(u, f32x4.sub(one, s));
  return f32x4.mul(g, f32x4.mul(s, f32x4.add(one, rest)));
}
