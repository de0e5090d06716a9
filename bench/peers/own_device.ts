/** The devices that stand for this project. */
import { openDevice } from "../../core/device.ts";
import type { Device } from "../../core/tensor.ts";

/** Opens `cpu` without the system's BLAS, `blas` (the device cpu with it) or `webgpu`. */
export function openOwnDevice(name: string): Promise<Device> {
  if (name === "webgpu") return openDevice("webgpu");
  return openDevice("cpu", { blas: name === "blas" ? "auto" : "off" });
}
