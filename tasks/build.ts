/** Builds `core/cpu/kernels.wasm` from its AssemblyScript sources.
 *
 *     deno run -A tasks/build.ts            # writes the file
 *     deno run -A tasks/build.ts --check    # fails if the committed file differs from its sources
 */
import asc from "assemblyscript/asc";

const SOURCES = new URL("../core/cpu/assembly/", import.meta.url);
const TARGET = new URL("../core/cpu/kernels.wasm", import.meta.url);

/** Compiles the kernels; the same sources always give the same bytes.
 * @throws {Error} the sources do not compile
 */
export async function buildKernels(): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main([
    "index.ts",
    ...["--outFile", "kernels.wasm"],
    ...["-O3", "--noAssert", "--runtime", "stub", "--use", "abort="],
    ...["--enable", "simd", "--enable", "relaxed-simd", "--enable", "threads"],
    ...["--importMemory", "--noExportMemory", "--sharedMemory"],
    ...["--initialMemory", "16", "--maximumMemory", "65536", "--memoryBase", "16384"],
  ], {
    readFile: (name) => {
      try {
        return Deno.readTextFileSync(new URL(name, SOURCES));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return null;
        throw error;
      }
    },
    writeFile: (_, contents) => {
      if (typeof contents !== "string") binary = new Uint8Array(contents);
    },
    listFiles: () => [],
  });
  if (error || binary === undefined) {
    throw new Error(`Cannot build the kernels: ${error?.message ?? "no output"}\n${stderr}`);
  }
  return binary;
}

if (import.meta.main) {
  const binary = await buildKernels();
  if (Deno.args.includes("--check")) {
    const committed = await Deno.readFile(TARGET).catch(() => new Uint8Array());
    const same = committed.length === binary.length &&
      committed.every((byte, index) => byte === binary[index]);
    if (!same) {
      console.error(
        "Cannot use core/cpu/kernels.wasm: it must match its sources, run `deno task build`",
      );
      Deno.exit(1);
    }
  } else {
    await Deno.writeFile(TARGET, binary);
    console.log(`core/cpu/kernels.wasm: ${binary.length} bytes`);
  }
}
