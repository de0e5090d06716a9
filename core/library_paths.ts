/** The usual paths of the libraries that the device cpu can call. */

/** Usual paths of a BLAS. libblas is left out: Debian's is the reference implementation, which is slower than the
 * device's own kernels. */
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

/** Usual paths of oneDNN version 2. */
export function usualDnnPaths(): readonly string[] {
  switch (Deno.build.os) {
    case "darwin":
      return ["libdnnl.2.dylib"];
    case "windows":
      return ["dnnl.dll"];
    default:
      return ["libdnnl.so.2"];
  }
}
