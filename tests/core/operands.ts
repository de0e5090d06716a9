/** Operands of the tests: shapes with a rule that fills them, the same for every run and device. */
import type { HostArray } from "../../core/backend.ts";
import { permutation, philox, type RandomKey, unitInterval } from "../../core/random.ts";
import { type DType, type Shape, sizeOf } from "../../core/shape.ts";

/** A tensor to be: its shape and dtype, and its values under a key. */
export interface Operand {
  /** The lengths of the axes. */
  readonly shape: Shape;
  /** The element type. */
  readonly dtype: DType;
  /** The values; another key gives others. */
  values(key: RandomKey): HostArray;
}

function drawn(length: number, key: RandomKey, make: (unit: number) => number): Float64Array {
  const words = new Uint32Array(4);
  return new Float64Array(length).map((_, at) => {
    if (at % 4 === 0) philox(key, at / 4, 0, words);
    return make(unitInterval(words[at % 4]));
  });
}

function operand(
  shape: Shape,
  dtype: DType,
  make: (length: number, key: RandomKey) => ArrayLike<number>,
): Operand {
  const type = dtype === "float32" ? Float32Array : Int32Array;
  return { shape, dtype, values: (key) => new type(make(sizeOf(shape), key)) };
}

/** float32, uniform in [low, high). */
export function uniform(shape: Shape, low = -1, high = 1): Operand {
  return operand(
    shape,
    "float32",
    (length, key) => drawn(length, key, (unit) => low + unit * (high - low)),
  );
}

function wholeNumbers(dtype: DType) {
  return (shape: Shape, low = -3, high = 3): Operand =>
    operand(
      shape,
      dtype,
      (length, key) => drawn(length, key, (unit) => low + Math.floor(unit * (high - low + 1))),
    );
}

/** int32, uniform among low … high. */
export const integers = wholeNumbers("int32");

/** float32 whole numbers, uniform among low … high: sums and products of them are exact, and ties are frequent. */
export const wholes = wholeNumbers("float32");

/** float32 multiples of 0.1 in [−1.5, 1.5]. */
export function onGrid(shape: Shape): Operand {
  return operand(
    shape,
    "float32",
    (length, key) => drawn(length, key, (unit) => (Math.floor(unit * 31) - 15) / 10),
  );
}

/** float32 multiples of 0.1 plus 0.05: at least 0.05 from 0 and from every `onGrid` value, so that a small step
 * crosses no kink. */
export function offGrid(shape: Shape): Operand {
  return operand(
    shape,
    "float32",
    (length, key) => drawn(length, key, (unit) => (Math.floor(unit * 30) - 15) / 10 + 0.05),
  );
}

/** float32 values 0.05 apart in random order: no two alike, and a small step changes no ranks. */
export function distinct(shape: Shape): Operand {
  return operand(
    shape,
    "float32",
    (length, key) => Array.from(permutation(key, length), (rank) => (rank - length / 2) * 0.05),
  );
}

/** float32, the values as given. */
export function given(shape: Shape, values: readonly number[]): Operand {
  return operand(shape, "float32", () => values);
}

/** int32, the values as given. */
export function givenIntegers(shape: Shape, values: readonly number[]): Operand {
  return operand(shape, "int32", () => values);
}

/** An operand whose values at some places are replaced. */
export function withValues(
  base: Operand,
  replacements: Readonly<Record<number, number>>,
): Operand {
  return {
    ...base,
    values(key) {
      const values = base.values(key);
      for (const [at, value] of Object.entries(replacements)) values[Number(at)] = value;
      return values;
    },
  };
}
