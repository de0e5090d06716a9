/** Subgroups: the threads of a workgroup that run in step and exchange values without workgroup memory.
 *
 * Tint (Chromium) needs the directive `enable subgroups;`. Naga 29 (Deno 2.9) knows the functions but rejects the
 * directive. So a small shader is compiled in both ways when a device is opened. If the compiler accepts neither, the device
 * is used as if it had no subgroups.
 */

/** The sizes of an adapter's subgroups in threads. Which of them a shader gets may depend on the shader. */
export interface SubgroupSizes {
  /** The smallest size. */
  readonly least: number;
  /** The largest size. */
  readonly most: number;
}

/** The subgroups of an opened device. */
export interface Subgroups extends SubgroupSizes {
  /** The directive of shaders that use them, or nothing. */
  readonly directive: string;
}

/** What shaders may call: one of each kind of function. */
const PROBE = `
@group(0) @binding(0) var<storage, read_write> probed: array<vec2<f32>>;
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) local: u32) {
  let sum = subgroupAdd(vec2<f32>(f32(local)));
  let ends = vec2<u32>(subgroupMin(local), subgroupMax(local));
  let others = vec2<u32>(subgroupBroadcastFirst(local), subgroupShuffleXor(local, 1u));
  probed[local] = sum + vec2<f32>(ends + others);
}`;

async function compiles(device: GPUDevice, code: string): Promise<boolean> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  return await device.popErrorScope() === null;
}

/** The subgroups of a device; undefined if it was opened without the feature, or shaders cannot use it. */
export async function findSubgroups(
  device: GPUDevice,
  { subgroupMinSize: least, subgroupMaxSize: most }: GPUAdapterInfo,
): Promise<Subgroups | undefined> {
  if (!device.features.has("subgroups")) return undefined;
  for (const directive of ["enable subgroups;", ""]) {
    if (await compiles(device, directive + PROBE)) return { least, most, directive };
  }
}

/** `32` or, if there are several sizes, `8 to 32`. */
export function showSizes({ least, most }: SubgroupSizes): string {
  return least === most ? `${least}` : `${least} to ${most}`;
}
