/** Philox4x32-10, with the layout of core/random.ts. */

/** What draws are keyed by, in the order in which the host writes it. */
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
