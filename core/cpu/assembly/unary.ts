/** Elementwise operations of one operand. */
import { mapUnary } from "./elementwise";
import { choose, constant, erf, exp, gelu, log, sigmoid, tanh } from "./math";

@inline
function signOf(a: v128): v128 {
  const above = choose(f32x4.gt(a, constant(0)), constant(1), a);
  return choose(f32x4.lt(a, constant(0)), constant(-1), above);
}

@unmanaged
class Exp {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return exp(a);
  }
}
export function mapExp(): void {
  mapUnary<Exp>();
}

@unmanaged
class Log {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return log(a);
  }
}
export function mapLog(): void {
  mapUnary<Log>();
}

@unmanaged
class Sqrt {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return f32x4.sqrt(a);
  }
}
export function mapSqrt(): void {
  mapUnary<Sqrt>();
}

@unmanaged
class Square {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return f32x4.mul(a, a);
  }
}
export function mapSquare(): void {
  mapUnary<Square>();
}

@unmanaged
class Abs {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return f32x4.abs(a);
  }
}
export function mapAbs(): void {
  mapUnary<Abs>();
}

@unmanaged
class Tanh {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return tanh(a);
  }
}
export function mapTanh(): void {
  mapUnary<Tanh>();
}

@unmanaged
class Sigmoid {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return sigmoid(a);
  }
}
export function mapSigmoid(): void {
  mapUnary<Sigmoid>();
}

@unmanaged
class Erf {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return erf(a);
  }
}
export function mapErf(): void {
  mapUnary<Erf>();
}

@unmanaged
class Gelu {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return gelu(a);
  }
}
export function mapGelu(): void {
  mapUnary<Gelu>();
}

@unmanaged
class Relu {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return f32x4.max(a, constant(0));
  }
}
export function mapRelu(): void {
  mapUnary<Relu>();
}

/** The slope is p. */
@unmanaged
class LeakyRelu {
  @inline
  apply(a: v128, p: v128, _q: v128): v128 {
    return choose(f32x4.gt(a, constant(0)), a, f32x4.mul(a, p));
  }
}
export function mapLeakyRelu(): void {
  mapUnary<LeakyRelu>();
}

/** Clipped to [p, q]. */
@unmanaged
class Clamp {
  @inline
  apply(a: v128, p: v128, q: v128): v128 {
    return f32x4.min(f32x4.max(a, p), q);
  }
}
export function mapClamp(): void {
  mapUnary<Clamp>();
}

/** a·p + q. */
@unmanaged
class Affine {
  @inline
  apply(a: v128, p: v128, q: v128): v128 {
    return f32x4.add(f32x4.mul(a, p), q);
  }
}
export function mapAffine(): void {
  mapUnary<Affine>();
}

@unmanaged
class ToInteger {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return i32x4.trunc_sat_f32x4_s(a);
  }
}
export function mapToInteger(): void {
  mapUnary<ToInteger>();
}

@unmanaged
class ToFloat {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return f32x4.convert_i32x4_s(a);
  }
}
export function mapToFloat(): void {
  mapUnary<ToFloat>();
}

@unmanaged
class Same {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return a;
  }
}
export function mapSame(): void {
  mapUnary<Same>();
}

@unmanaged
class Sign {
  @inline
  apply(a: v128, _p: v128, _q: v128): v128 {
    return signOf(a);
  }
}
export function mapSign(): void {
  mapUnary<Sign>();
}
