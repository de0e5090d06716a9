/** Elementwise operations of two operands. */
import { mapBinary } from "./elementwise";
import { constant, geluSlope } from "./math";

/** Converts a mask to 0 or 1. */
@inline
function truth(mask: v128): v128 {
  return i32x4.neg(mask);
}

/** aᵇ as in JavaScript: NaN if b is NaN, or if |a| is 1 and b is infinite. */
function power(a: f32, b: f32): f32 {
  if (isNaN(b) || (Math.abs(a) == 1 && !isFinite(b))) return NaN;
  return <f32> Math.pow(a, b);
}

function powerOf(a: v128, b: v128): v128 {
  const first = power(f32x4.extract_lane(a, 0), f32x4.extract_lane(b, 0));
  const second = power(f32x4.extract_lane(a, 1), f32x4.extract_lane(b, 1));
  const third = power(f32x4.extract_lane(a, 2), f32x4.extract_lane(b, 2));
  const fourth = power(f32x4.extract_lane(a, 3), f32x4.extract_lane(b, 3));
  const low = f32x4.replace_lane(f32x4.splat(first), 1, second);
  return f32x4.replace_lane(f32x4.replace_lane(low, 2, third), 3, fourth);
}

@unmanaged
class Add {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.add(a, b);
  }
}
export function mapAdd(): void {
  mapBinary<Add>();
}

@unmanaged
class Sub {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.sub(a, b);
  }
}
export function mapSub(): void {
  mapBinary<Sub>();
}

@unmanaged
class Mul {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.mul(a, b);
  }
}
export function mapMul(): void {
  mapBinary<Mul>();
}

@unmanaged
class Div {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.div(a, b);
  }
}
export function mapDiv(): void {
  mapBinary<Div>();
}

@unmanaged
class Pow {
  @inline
  apply(a: v128, b: v128): v128 {
    return powerOf(a, b);
  }
}
export function mapPow(): void {
  mapBinary<Pow>();
}

@unmanaged
class Maximum {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.max(a, b);
  }
}
export function mapMaximum(): void {
  mapBinary<Maximum>();
}

@unmanaged
class Minimum {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.min(a, b);
  }
}
export function mapMinimum(): void {
  mapBinary<Minimum>();
}

/** b if a is positive, else 0. */
@unmanaged
class ReluGradient {
  @inline
  apply(a: v128, b: v128): v128 {
    return v128.and(f32x4.gt(a, constant(0)), b);
  }
}
export function mapReluGradient(): void {
  mapBinary<ReluGradient>();
}

/** b times the slope of gelu at a. */
@unmanaged
class GeluGradient {
  @inline
  apply(a: v128, b: v128): v128 {
    return f32x4.mul(geluSlope(a), b);
  }
}
export function mapGeluGradient(): void {
  mapBinary<GeluGradient>();
}

@unmanaged
class Equal {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.eq(a, b));
  }
}
export function mapEqual(): void {
  mapBinary<Equal>();
}

@unmanaged
class NotEqual {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.ne(a, b));
  }
}
export function mapNotEqual(): void {
  mapBinary<NotEqual>();
}

@unmanaged
class Less {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.lt(a, b));
  }
}
export function mapLess(): void {
  mapBinary<Less>();
}

@unmanaged
class LessEqual {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.le(a, b));
  }
}
export function mapLessEqual(): void {
  mapBinary<LessEqual>();
}

@unmanaged
class Greater {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.gt(a, b));
  }
}
export function mapGreater(): void {
  mapBinary<Greater>();
}

@unmanaged
class GreaterEqual {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(f32x4.ge(a, b));
  }
}
export function mapGreaterEqual(): void {
  mapBinary<GreaterEqual>();
}

@unmanaged
class AddIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return i32x4.add(a, b);
  }
}
export function mapAddIntegers(): void {
  mapBinary<AddIntegers>();
}

@unmanaged
class SubIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return i32x4.sub(a, b);
  }
}
export function mapSubIntegers(): void {
  mapBinary<SubIntegers>();
}

@unmanaged
class MulIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return i32x4.mul(a, b);
  }
}
export function mapMulIntegers(): void {
  mapBinary<MulIntegers>();
}

@unmanaged
class MaximumIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return i32x4.max_s(a, b);
  }
}
export function mapMaximumIntegers(): void {
  mapBinary<MaximumIntegers>();
}

@unmanaged
class MinimumIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return i32x4.min_s(a, b);
  }
}
export function mapMinimumIntegers(): void {
  mapBinary<MinimumIntegers>();
}

@unmanaged
class EqualIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.eq(a, b));
  }
}
export function mapEqualIntegers(): void {
  mapBinary<EqualIntegers>();
}

@unmanaged
class NotEqualIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.ne(a, b));
  }
}
export function mapNotEqualIntegers(): void {
  mapBinary<NotEqualIntegers>();
}

@unmanaged
class LessIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.lt_s(a, b));
  }
}
export function mapLessIntegers(): void {
  mapBinary<LessIntegers>();
}

@unmanaged
class LessEqualIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.le_s(a, b));
  }
}
export function mapLessEqualIntegers(): void {
  mapBinary<LessEqualIntegers>();
}

@unmanaged
class GreaterIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.gt_s(a, b));
  }
}
export function mapGreaterIntegers(): void {
  mapBinary<GreaterIntegers>();
}

@unmanaged
class GreaterEqualIntegers {
  @inline
  apply(a: v128, b: v128): v128 {
    return truth(i32x4.ge_s(a, b));
  }
}
export function mapGreaterEqualIntegers(): void {
  mapBinary<GreaterEqualIntegers>();
}
