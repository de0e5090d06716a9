/** Where systems keep their BLAS. */

/** Where a BLAS may be. Not libblas: Debian's is the reference implementation, slower than the device's own kernels. */
export function usualBlasPaths(): readonly string[] {
  switch (Deno.build.os) {
    case "darwin":
      return ["/System/Library/Frameworks/Accelerate.framework/Accelerate", "libopenblas.dylib"];
    case "windows":
      return ["libopenblas.dll", "mkl_rt.2.dll"];
    default:
      return ["libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2", "libmkl_rt.so"];
  }
}
