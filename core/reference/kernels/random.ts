/** Random numbers; `core/random.ts` defines which Philox word makes which element. */
import type { Attributes } from "../../ops.ts";
import { boxMuller, permutation, philox, type RandomKey, unitInterval } from "../../random.ts";
import { floats, ints, type ReferenceKernel } from "../buffer.ts";

/** Fills `out` four elements at a time, each four from the words of one block. */
function fillByBlock(
  out: Float32Array,
  key: RandomKey,
  make: (words: Uint32Array) => readonly number[],
): void {
  const words = new Uint32Array(4);
  for (let start = 0; start < out.length; start += 4) {
    philox(key, start / 4, 0, words);
    out.set(make(words).slice(0, out.length - start), start);
  }
}

/** low + u·(high − low), u in [0, 1) of the element's own word */
const uniform: ReferenceKernel<Attributes["uniform"]> = (_, [output], { key, low, high }) => {
  fillByBlock(
    floats(output),
    key,
    (words) => Array.from(words, (word) => low + unitInterval(word) * (high - low)),
  );
};

/** mean + deviation·z, z by Box–Muller of words 0 and 1 (elements 0 and 1) or 2 and 3 (elements 2 and 3) */
const normal: ReferenceKernel<Attributes["normal"]> = (_, [output], { key, mean, deviation }) => {
  fillByBlock(
    floats(output),
    key,
    ([first, second, third, fourth]) =>
      [...boxMuller(first, second), ...boxMuller(third, fourth)].map((z) => mean + deviation * z),
  );
};

const permuted: ReferenceKernel<Attributes["permutation"]> = (_, [output], { length, key }) => {
  ints(output).set(permutation(key, length));
};

/** The random kernels. */
export const random = { uniform, normal, permutation: permuted };
