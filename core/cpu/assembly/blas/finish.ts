/** What a layer does to its results before they leave the cache. */

/** Adds a bias to each of `count` rows, unless its address is 0, and then keeps the positive, if asked. */
export function finish(y: usize, count: i32, columns: i32, bias: usize, relu: i32): void {
  if (!bias && !relu) return;
  for (let i = 0; i < count; i++) {
    let from = bias, left = columns;
    for (; left >= 4; left -= 4, y += 16, from += 16) {
      let value = v128.load(y);
      if (bias) value = f32x4.add(value, v128.load(from));
      if (relu) value = f32x4.max(value, f32x4.splat(0));
      v128.store(y, value);
    }
    for (; left > 0; left--, y += 4, from += 4) {
      let value = load<f32>(y);
      if (bias) value += load<f32>(from);
      if (relu) value = max<f32>(value, 0);
      store<f32>(y, value);
    }
  }
}
