/** The GPU adapter. Only this file handles the differences between Deno and browsers. */
import type { Precision } from "../precision.ts";
import { findSubgroups, type Subgroups } from "./subgroups.ts";
import { tilingName, tilingsFor } from "./tilings.ts";
import { readTuning, type TilingNames } from "./tuning.ts";

/** The limits of an adapter that matter for this device. */
export interface AdapterLimits {
  /** The maximum size of a buffer, in bytes. */
  readonly maxBufferSize: number;
  /** The maximum part of a buffer that a kernel can access, in bytes. */
  readonly maxStorageBufferBindingSize: number;
  /** The maximum number of buffers per kernel. */
  readonly maxStorageBuffersPerShaderStage: number;
  /** The maximum number of threads per workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** The maximum shared memory of a workgroup, in bytes. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** The maximum number of workgroups in one dimension of a dispatch. */
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** What is known about an adapter before it is opened. */
export interface AdapterReport {
  /** The adapter's description of itself, such as "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** The vendor as the adapter reports it: a name or a number. */
  readonly vendor: string;
  /** Whether it computes on the CPU: correct, but slower than the `cpu` device. */
  readonly isSoftware: boolean;
  /** The limits that matter. */
  readonly limits: AdapterLimits;
  /** The optional features, by WebGPU's names. */
  readonly features: readonly string[];
  /** How it tiles matrix products. */
  readonly tilings: TilingReport;
}

/** How an adapter tiles matrix products, by the tilings' names: rows, columns and, for tiles in workgroup memory, their
 * depth and each thread's part (`64x64x16/4x4`). */
export interface TilingReport extends TilingNames {
  /** Whether they were measured by `deno task tune`. */
  readonly tuned: boolean;
  /** All tilings that the adapter can run. */
  readonly candidates: readonly string[];
  /** Why the measurements are ignored, if they are. */
  readonly complaint?: string;
}

/** An opened GPU device and what its adapter reported. */
export interface OpenedGpu {
  /** The device, with the adapter's own limits. */
  readonly device: GPUDevice;
  /** Its adapter. */
  readonly report: AdapterReport;
  /** Its subgroups, if the adapter and the shader compiler have them. */
  readonly subgroups?: Subgroups;
}

/** Features to request if the adapter has them. */
const OPTIONAL_FEATURES: readonly GPUFeatureName[] = [
  "timestamp-query",
  "shader-f16",
  "subgroups",
];

const SOFTWARE_NAMES = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i;

/** Sets an environment variable if allowed. Without a desktop, Linux graphics drivers print several warnings if it is
 * missing, although they work without it. */
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

/** The tilings of an adapter according to the current measurements. */
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
 * @returns undefined if there is none, or no WebGPU at all
 */
export async function findAdapter(): Promise<AdapterReport | undefined> {
  const adapter = await requestAdapter();
  return adapter === undefined ? undefined : await reportOf(adapter);
}

/** Requests a device with the adapter's own limits and the optional features.
 *
 * Deno does not list `subgroups` among an adapter's features, because naga does not know its directive, but grants it on
 * request (wgpu's pull request 7813).
 */
async function requestDevice(adapter: GPUAdapter, limits: AdapterLimits): Promise<GPUDevice> {
  const request = (requiredFeatures: readonly GPUFeatureName[]) =>
    adapter.requestDevice({
      label: "codebook",
      requiredFeatures: [...requiredFeatures],
      requiredLimits: { ...limits },
    });
  const listed = OPTIONAL_FEATURES.filter((name) => adapter.features.has(name));
  if (!("Deno" in globalThis) || listed.includes("subgroups")) return await request(listed);
  try {
    return await request([...listed, "subgroups"]);
  } catch (error) {
    if (error instanceof TypeError) return await request(listed);
    throw error;
  }
}

/** Opens the adapter with its own limits and, for precision `mixed`, with float16.
 * @throws {Error} there is no adapter (the message says what to install), or it has no float16
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
  const device = await requestDevice(adapter, report.limits);
  return { device, report, subgroups: await findSubgroups(device, adapter.info) };
}
