/** The inputs of the fuzzer. */
import { mutate } from "../data/fuzz.ts";
import { Draw } from "./draw.ts";
import type { FuzzTarget } from "./target.ts";

/** Longest input. */
const MOST_BYTES = 2 ** 21;

/** Input number `seed` of a format: a file of its grammar, a third of them with bytes changed besides. */
export function inputOf(target: FuzzTarget, seed: number): Uint8Array<ArrayBuffer> {
  const draw = new Draw(target.name, seed);
  const bytes = target.make(draw).slice(0, MOST_BYTES);
  return draw.chance(1 / 3) && bytes.length > 0 ? mutate(bytes, seed) : bytes;
}
