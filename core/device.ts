/** Opens devices: the one place that loads them. */
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

/** What `openDevice` takes: a device's name, or `auto`. */
export type DeviceChoice = DeviceName | "auto";

/** The names that `openDevice` takes. */
export const DEVICE_CHOICES: readonly DeviceChoice[] = ["auto", "reference", "cpu", "webgpu"];

/** How a device is opened. */
export interface DeviceOptions {
  /** Threads of the `cpu` device; by default as many as the machine has cores, and one in a browser. */
  readonly threads?: number;
  /** The system's BLAS for the products of the `cpu` device: `auto`, the default, takes OpenBLAS, Accelerate or MKL where
   * one is there and foreign functions may be called (`--allow-ffi`); `off` none; a path that library. */
  readonly blas?: string;
  /** The system's oneDNN for the convolutions of the `cpu` device: `auto`, the default, takes version 2 where it is there
   * and foreign functions may be called; `off` none; a path that library. */
  readonly dnn?: string;
  /** Checks every WebGPU call where it happens (slow). */
  readonly debug?: boolean;
  /** How precisely layers are computed: `float32`, the default, or `mixed`, on webgpu where the adapter has
   * `shader-f16`. */
  readonly precision?: Precision;
  /** The name of a tiling for all matrix products of webgpu, to measure it; see `AdapterReport.tilings`. */
  readonly tiling?: string;
}

/** Opens a device. `auto` takes WebGPU where the adapter is a real GPU, else `cpu`; a software adapter is correct
 * and slow, and chosen only by name.
 *
 * A program does best to open a device once and keep it. The GPU devices of webgpu that were closed are kept by the
 * process and opened again, because each new one starts threads that never end, in Deno's implementation.
 *
 * ```ts
 * import { openDevice } from "@codebook/codebook";
 * using device = await openDevice("cpu", { threads: 1 });
 * console.log(device.description);
 * ```
 * @throws {RangeError} there is no device of that name
 * @throws {Error} the device cannot be opened; the message says what to install; or it cannot compute so precisely
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

/** Finds the BLAS that the device `cpu` takes.
 * @param choice as in `DeviceOptions.blas`
 * @throws {RangeError} the library at the path cannot be used
 */
export async function findBlas(choice: string = "auto"): Promise<Blas | undefined> {
  const { findBlas } = await import("./cpu/blas.ts");
  return findBlas(choice);
}

/** Finds the oneDNN that the device `cpu` takes.
 * @param choice as in `DeviceOptions.dnn`
 * @throws {RangeError} the library at the path cannot be used
 */
export async function findDnn(choice: string = "auto"): Promise<Dnn | undefined> {
  const { findDnn } = await import("./cpu/dnn/library.ts");
  return findDnn(choice);
}

/** What one device of this machine is, or why it is not there. */
export interface DeviceReport {
  /** Which device. */
  readonly name: DeviceName;
  /** What it is, or the reason it cannot be opened and what to install. */
  readonly description: string;
  /** Whether it can be opened. */
  readonly available: boolean;
  /** The GPU adapter behind it, if there is one. */
  readonly adapter?: AdapterReport;
}

/** Tries every device and says what was found. */
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

/** Keeps the tilings that were found to be the fastest on an adapter, for whoever opens it next.
 * @returns the file that holds them
 * @throws {Error} it cannot be written
 */
export async function keepTilings(adapter: AdapterReport, tilings: TilingNames): Promise<string> {
  const { writeTuning } = await import("./webgpu/tuning.ts");
  return await writeTuning(adapter.name, tilings);
}

/** A backend only ever sees the buffers it made itself, so their type may be forgotten here. */
function wrap<B extends Buffer>(backend: Backend<B>): Device {
  return new Device(backend as unknown as Backend);
}
