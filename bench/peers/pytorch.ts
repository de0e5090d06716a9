/** The PyTorch of this machine's python3, once with each available BLAS. */

/** A PyTorch set-up: a version with the libraries that its process finds. */
export interface PyTorch {
  /** Its version, and the file name of its BLAS. */
  readonly name: string;
  /** The python3 to run. */
  readonly python: string;
  /** Additional environment variables of its process. */
  readonly env: Readonly<Record<string, string>>;
}

/** The folders of Debian's implementations of libblas.so.3, of which `update-alternatives` chooses the system's default:
 * the plain one that python3-torch depends on, and that of libopenblas0-pthread. Each folder has a matching LAPACK. */
const IMPLEMENTATIONS = [["blas", "lapack"], ["openblas-pthread"]];
const LIBRARIES = `/usr/lib/${Deno.build.arch}-linux-gnu`;

/** Prints PyTorch's version and its loaded BLAS (for OpenBLAS, its own libblas.so.3 is loaded as well). */
const PROBE = `
import torch
torch.rand(2, 2) @ torch.rand(2, 2)
try:
    paths = [line.split("/")[-1].strip() for line in open("/proc/self/maps") if "blas" in line.split("/")[-1]]
except OSError:
    paths = []
name = next((p for p in paths if "openblas" in p), paths[0] if paths else "an unknown BLAS")
print(torch.__version__, "with", name.split(".so")[0])
`;

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** The set-ups to measure; none if python3 has no torch. */
export async function findPyTorch(): Promise<readonly PyTorch[]> {
  const python = Deno.env.get("PYTHON") ?? "python3";
  const environments: Record<string, string>[] = [];
  for (const folders of IMPLEMENTATIONS) {
    if (!await exists(`${LIBRARIES}/${folders[0]}/libblas.so.3`)) continue;
    const LD_LIBRARY_PATH = folders.map((folder) => `${LIBRARIES}/${folder}`).join(":");
    environments.push({ LD_LIBRARY_PATH });
  }
  const found: PyTorch[] = [];
  for (const env of environments.length > 0 ? environments : [{}]) {
    const probe = new Deno.Command(python, { args: ["-c", PROBE], env });
    const output = await probe.output().catch(() => undefined);
    if (output?.success !== true) continue;
    const name = `PyTorch ${new TextDecoder().decode(output.stdout).trim()}`;
    found.push({ name, python, env });
  }
  return found;
}
