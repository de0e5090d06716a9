/** Opens devices. This is the only place that loads them. */
import type { Backend, Buffer, DeviceName } from "./backend.ts";
import type { Blas } from "./cpu/blas.ts";
import type { Dnn } from "./cpu/dnn/library.ts";
import { Device } from "./tensor.ts";
import type { Precision } from "./precision.ts";
import type { AdapterReport } from "./webgpu/adapter.ts";
import type { TilingNames } from "./webgpu/tuning.ts";

export type { Blas } from "./cpu/blas.ts";
export type { Dnn } from "./cpu/dnn/library.ts";
export type { AdapterLimits, AdapterReport, TilingReport } from "./webgpu/adapter.ts";
export type { TilingNames } from "./webgpu/tuning.ts";

/** The argument of `openDevice`: the name of a device, or `auto`. */
export type DeviceChoice = DeviceName | "auto";

/** The names that `openDevice` accepts. */
export const DEVICE_CHOICES: readonly DeviceChoice[] = ["auto", "reference", "cpu", "webgpu"];

/** Options of `openDevice`. */
export interface DeviceOptions {
  /** Threads of the `cpu` device; by default one per core, and one in a web page that is not cross-origin
   * isolated. The result does not depend on it. */
  readonly threads?: number;
  /** The system's BLAS for the matrix products of the `cpu` device. `auto`, the default, uses OpenBLAS, Accelerate or
   * MKL if one is installed and foreign functions are allowed (`--allow-ffi`). `off` uses none. A path uses that
   * library. */
  readonly blas?: string;
  /** The system's oneDNN for the convolutions of the `cpu` device. `auto`, the default, uses version 2 if it is
   * installed and foreign functions are allowed. `off` uses none. A path uses that library. */
  readonly dnn?: string;
  /** Whether to check every WebGPU call immediately (slow). */
  readonly debug?: boolean;
  /** The precision of layers: `float32`, the default, or `mixed`, which needs webgpu and an adapter with
   * `shader-f16`. */
  readonly precision?: Precision;
  /** The name of a tiling for all matrix products on webgpu, for measurements; see `AdapterReport.tilings`. */
  readonly tiling?: string;
}

/** Opens a device. `auto` uses WebGPU if the adapter is a real GPU, otherwise `cpu`. A software adapter is correct but
 * slow, and is only used if `webgpu` is named.
 *
 * Open a device once and keep it. The process keeps closed GPU devices and reopens them, because in Deno's
 * implementation each new one starts threads that never end.
 *
 * ```ts
 * import { openDevice } from "@codebook/codebook";
 * using device = await openDevice("cpu", { threads: 1 });
 * console.log(device.description);
 * ```
 * @throws {RangeError} there is no device of that name
 * @throws {Error} the device cannot be opened (the message says what to install), or it lacks the precision
 */
export async function openDevice(
  choice: DeviceChoice = "auto",
  options: DeviceOptions = {},
): Promise<Device> {
  if (options.precision === "mixed" && (choice === "cpu" || choice === "reference")) {
    throw new Error(
      `Cannot open device ${choice} with precision mixed: it must be webgpu, on an adapter with the feature shader-f16, got ${choice}`,
    );
  }
  switch (choice) {
    case "auto": {
      const { findAdapter } = await import("./webgpu/adapter.ts");
      const adapter = await findAdapter();
      const real = adapter !== undefined && !adapter.isSoftware;
      return openDevice(real ? "webgpu" : "cpu", options);
    }
    case "reference": {
      const { openReferenceBackend } = await import("./reference/backend.ts");
      return wrap(openReferenceBackend());
    }
    case "cpu": {
      const { openCpuBackend } = await import("./cpu/backend.ts");
      return wrap(await openCpuBackend(options));
    }
    case "webgpu": {
      const { openWebGpuBackend } = await import("./webgpu/backend.ts");
      return wrap(await openWebGpuBackend(options));
    }
    default:
      throw new RangeError(
        `Cannot open a device: it must be one of ${DEVICE_CHOICES.join(", ")}, got ${choice}`,
      );
  }
}

/** Finds the BLAS that the device `cpu` uses.
 * @param choice as in `DeviceOptions.blas`
 * @throws {RangeError} the library at the path cannot be used
 */
export async function findBlas(choice: string = "auto"): Promise<Blas | undefined> {
  const { findBlas } = await import("./cpu/blas.ts");
  return findBlas(choice);
}

/** Finds the oneDNN that the device `cpu` uses.
 * @param choice as in `DeviceOptions.dnn`
 * @throws {RangeError} the library at the path cannot be used
 */
export async function findDnn(choice: string = "auto"): Promise<Dnn | undefined> {
  const { findDnn } = await import("./cpu/dnn/library.ts");
  return findDnn(choice);
}

/** Memory limits of a device. Null means: unknown, or only limited by the machine's memory. */
export interface MemoryLimits {
  /** For all tensors together, in bytes. */
  readonly totalBytes: number | null;
  /** For one tensor, in bytes. */
  readonly longestBytes: number | null;
}

/** Gives the memory limits of a device of this machine, without opening it. WebGPU reports the longest allowed buffer, but not
 * how much memory the GPU has. */
export async function memoryLimits(name: DeviceName): Promise<MemoryLimits> {
  if (name === "reference") return { totalBytes: null, longestBytes: null };
  if (name === "cpu") {
    const { MOST_BYTES } = await import("./cpu/memory.ts");
    return { totalBytes: MOST_BYTES, longestBytes: null };
  }
  const { findAdapter } = await import("./webgpu/adapter.ts");
  const limits = (await findAdapter())?.limits;
  const longestBytes = limits === undefined
    ? null
    : Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  return { totalBytes: null, longestBytes };
}

/** A device of this machine, or why it is not available. */
export interface DeviceReport {
  /** Which device. */
  readonly name: DeviceName;
  /** Its description, or why it cannot be opened and what to install. */
  readonly description: string;
  /** Whether it can be opened. */
  readonly available: boolean;
  /** The GPU adapter behind it, if there is one. */
  readonly adapter?: AdapterReport;
}

/** Tries to open every device, and reports the results. */
export async function surveyDevices(): Promise<readonly DeviceReport[]> {
  const { findAdapter } = await import("./webgpu/adapter.ts");
  const adapter = await findAdapter();
  const reports: DeviceReport[] = [];
  for (const name of ["cpu", "webgpu", "reference"] as const) {
    const found = name === "webgpu" ? { adapter } : {};
    try {
      using device = await openDevice(name);
      reports.push({ name, available: true, description: device.description, ...found });
    } catch (error) {
      const description = error instanceof Error ? error.message : String(error);
      reports.push({ name, available: false, description, ...found });
    }
  }
  return reports;
}

/** Saves the fastest tilings of an adapter, for the next time it is opened.
 * @returns the path of the file
 * @throws {Error} the file cannot be written
 */
export async function keepTilings(adapter: AdapterReport, tilings: TilingNames): Promise<string> {
  const { writeTuning } = await import("./webgpu/tuning.ts");
  return await writeTuning(adapter.name, tilings);
}

/** A backend only gets the buffers that it made itself, so their type can be dropped here. */
function wrap<B extends Buffer>(backend: Backend<B>): Device {
  return new Device(backend as unknown as Backend);
}
