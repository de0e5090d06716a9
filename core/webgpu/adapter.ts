/** The GPU adapter: the one place that knows how Deno and the browsers differ. */

/** The limits of an adapter that decide what this device can run. */
export interface AdapterLimits {
  /** The longest buffer, in bytes. */
  readonly maxBufferSize: number;
  /** The longest piece of a buffer that a kernel can see, in bytes. */
  readonly maxStorageBufferBindingSize: number;
  /** Buffers that a kernel can see. */
  readonly maxStorageBuffersPerShaderStage: number;
  /** Threads in a workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Bytes that the threads of a workgroup can share. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** Workgroups in one dimension of a dispatch. */
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** What is known of an adapter before it is opened. */
export interface AdapterReport {
  /** The adapter's own description of itself, such as "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** The maker, as the adapter gives it: a name or a number. */
  readonly vendor: string;
  /** Whether it computes on the processor: correct, and slower than the `cpu` device. */
  readonly isSoftware: boolean;
  /** The limits that matter. */
  readonly limits: AdapterLimits;
  /** The optional features, by WebGPU's names. */
  readonly features: readonly string[];
}

/** An opened GPU device and what its adapter reported. */
export interface OpenedGpu {
  /** The device, with the adapter's own limits. */
  readonly device: GPUDevice;
  /** Its adapter. */
  readonly report: AdapterReport;
}

/** Features that are asked for where the adapter has them. */
const OPTIONAL_FEATURES: readonly GPUFeatureName[] = ["timestamp-query"];

const SOFTWARE_NAMES = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i;

async function requestAdapter(): Promise<GPUAdapter | undefined> {
  const gpu = (globalThis.navigator as { readonly gpu?: GPU } | undefined)?.gpu;
  if (gpu === undefined) return undefined;
  return await gpu.requestAdapter({ powerPreference: "high-performance" }) ?? undefined;
}

function limitsOf(
  { limits }: GPUAdapter,
): AdapterLimits {
  return {
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
  };
}

function reportOf(adapter: GPUAdapter): AdapterReport {
  const { description, vendor, architecture, device, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") ||
    "unnamed adapter";
  return {
    name,
    vendor,
    isSoftware: isFallbackAdapter === true || SOFTWARE_NAMES.test(name),
    limits: limitsOf(adapter),
    features: [...adapter.features].sort(),
  };
}

/** Looks for an adapter without opening it.
 * @returns undefined where there is none, or no WebGPU at all
 */
export async function findAdapter(): Promise<AdapterReport | undefined> {
  const adapter = await requestAdapter();
  return adapter === undefined ? undefined : reportOf(adapter);
}

/** Opens the adapter, asking for its own limits.
 * @throws {Error} there is no adapter; the message says what to install
 */
export async function openGpu(): Promise<OpenedGpu> {
  const adapter = await requestAdapter();
  if (adapter === undefined) {
    throw new Error(
      "Cannot open device webgpu: no adapter was found. Install the graphics card's Vulkan driver " +
        "(on macOS and Windows it comes with the system); on Debian and Ubuntu, " +
        "`apt-get install libvulkan1 mesa-vulkan-drivers` brings the loader and a software adapter. " +
        "In a browser, WebGPU must be enabled. The device `cpu` needs none of this",
    );
  }
  const report = reportOf(adapter);
  const device = await adapter.requestDevice({
    label: "codebook",
    requiredFeatures: OPTIONAL_FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: { ...report.limits },
  });
  return { device, report };
}
