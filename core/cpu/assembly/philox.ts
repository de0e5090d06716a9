/** Philox4x32-10, with the layout of core/random.ts. */

/** The key of a draw, in the order in which the host writes it. */
@unmanaged
export class Key {
  seedLow: u32;
  seedHigh: u32;
  step: u32;
  stream: u32;
}

/** The four words of a block in a row under a key. */
export function philox(key: Key, block: u32, row: u32): v128 {
  let c0 = block, c1 = key.step, c2 = key.stream, c3 = row;
  let k0 = key.seedLow, k1 = key.seedHigh;
  for (let round = 0; round < 10; round++) {
    const product0 = <u64> 0xd2511f53 * <u64> c0, product1 = <u64> 0xcd9e8d57 * <u64> c2;
    c0 = <u32> (product1 >> 32) ^ c1 ^ k0;
    c1 = <u32> product1;
    c2 = <u32> (product0 >> 32) ^ c3 ^ k1;
    c3 = <u32> product0;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  let words = i32x4.splat(c0);
  words = i32x4.replace_lane(words, 1, c1);
  words = i32x4.replace_lane(words, 2, c2);
  return i32x4.replace_lane(words, 3, c3);
}

@inline
function evenWords(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

@inline
function oddWords(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
}

/** Writes the words of four blocks, from `block` on, one block after another. Each lane computes a block. */
export function philoxFour(key: Key, block: u32, row: u32, to: usize): void {
  let c0 = i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3)), c1 = i32x4.splat(key.step);
  let c2 = i32x4.splat(key.stream), c3 = i32x4.splat(row);
  let k0 = i32x4.splat(key.seedLow), k1 = i32x4.splat(key.seedHigh);
  const m0 = i32x4.splat(0xd2511f53), m1 = i32x4.splat(0xcd9e8d57);
  for (let round = 0; round < 10; round++) {
    const a = i64x2.extmul_low_i32x4_u(c0, m0), b = i64x2.extmul_high_i32x4_u(c0, m0);
    const c = i64x2.extmul_low_i32x4_u(c2, m1), d = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(oddWords(c, d), c1), k0);
    c1 = evenWords(c, d);
    c2 = v128.xor(v128.xor(oddWords(a, b), c3), k1);
    c3 = evenWords(a, b);
    k0 = i32x4.add(k0, i32x4.splat(0x9e3779b9));
    k1 = i32x4.add(k1, i32x4.splat(0xbb67ae85));
  }
  const low01 = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5), low23 = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
  const high23 = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(to, v128.shuffle<i64>(low01, low23, 1, 3), 16);
  v128.store(to, v128.shuffle<i64>(high01, high23, 0, 2), 32);
  v128.store(to, v128.shuffle<i64>(high01, high23, 1, 3), 48);
}
