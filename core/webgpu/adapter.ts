/** The GPU adapter: the one place that knows how Deno and the browsers differ. */
import type { Precision } from "../precision.ts";
import { tilingName, tilingsFor } from "./tilings.ts";
import { readTuning, type TilingNames } from "./tuning.ts";

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
  /** How matrix products are cut into tiles on it. */
  readonly tilings: TilingReport;
}

/** How an adapter's matrix products are cut into tiles, by the tilings' names: rows, columns and, where the tiles pass
 * through workgroup memory, their depth and each thread's part (`64x64x16/4x4`). */
export interface TilingReport extends TilingNames {
  /** Whether they were measured by `deno task tune`. */
  readonly tuned: boolean;
  /** All that the adapter can run. */
  readonly candidates: readonly string[];
  /** Why what was measured is ignored, if it is. */
  readonly complaint?: string;
}

/** An opened GPU device and what its adapter reported. */
export interface OpenedGpu {
  /** The device, with the adapter's own limits. */
  readonly device: GPUDevice;
  /** Its adapter. */
  readonly report: AdapterReport;
}

/** Features that are asked for where the adapter has them. */
const OPTIONAL_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16"];

const SOFTWARE_NAMES = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i;

/** Without a desktop, Linux's graphics drivers complain several times that this variable is not set, and then do
 * without it; where it may be set, it is. */
async function quietDriver(): Promise<void> {
  if (!("Deno" in globalThis) || Deno.build.os !== "linux") return;
  const variable = "XDG_RUNTIME_DIR";
  const { state } = await Deno.permissions.query({ name: "env", variable });
  if (state === "granted" && !Deno.env.get(variable)) Deno.env.set(variable, "/tmp");
}

async function requestAdapter(): Promise<GPUAdapter | undefined> {
  await quietDriver();
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

async function chooseTilings(
  name: string,
  isSoftware: boolean,
  limits: AdapterLimits,
): Promise<TilingReport> {
  const candidates = tilingsFor(isSoftware, limits).map(tilingName);
  const usual = { matmul: candidates[0], convolution: candidates[0] };
  const { tilings, complaint } = await readTuning(name, candidates);
  return { ...usual, ...tilings, tuned: tilings !== undefined, candidates, complaint };
}

/** How an adapter's matrix products are cut by what is known now. */
export function tilingsNow(
  { name, isSoftware, limits }: Pick<AdapterReport, "name" | "isSoftware" | "limits">,
): Promise<TilingReport> {
  return chooseTilings(name, isSoftware, limits);
}

async function reportOf(adapter: GPUAdapter): Promise<AdapterReport> {
  const { description, vendor, architecture, device, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") ||
    "unnamed adapter";
  const isSoftware = isFallbackAdapter === true || SOFTWARE_NAMES.test(name);
  const limits = limitsOf(adapter);
  return {
    name,
    vendor,
    isSoftware,
    limits,
    features: [...adapter.features].sort(),
    tilings: await chooseTilings(name, isSoftware, limits),
  };
}

/** Looks for an adapter without opening it.
 * @returns undefined where there is none, or no WebGPU at all
 */
export async function findAdapter(): Promise<AdapterReport | undefined> {
  const adapter = await requestAdapter();
  return adapter === undefined ? undefined : await reportOf(adapter);
}

/** Opens the adapter, asking for its own limits and, for precision `mixed`, for float16.
 * @throws {Error} there is no adapter; the message says what to install; or it has no float16
 */
export async function openGpu(precision: Precision = "float32"): Promise<OpenedGpu> {
  const adapter = await requestAdapter();
  if (adapter === undefined) {
    throw new Error(
      "Cannot open device webgpu: no adapter was found. Install the graphics card's Vulkan driver " +
        "(on macOS and Windows it comes with the system); on Debian and Ubuntu, " +
        "`apt-get install libvulkan1 mesa-vulkan-drivers` brings the loader and a software adapter. " +
        "In a browser, WebGPU must be enabled. The device `cpu` needs none of this",
    );
  }
  const report = await reportOf(adapter);
  if (precision === "mixed" && !adapter.features.has("shader-f16")) {
    throw new Error(
      `Cannot open device webgpu with precision mixed: the adapter must have the feature shader-f16, got ${report.name} without it`,
    );
  }
  const device = await adapter.requestDevice({
    label: "codebook",
    requiredFeatures: OPTIONAL_FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: { ...report.limits },
  });
  return { device, report };
}
