/** The devices of this project that are compared. */
import { openDevice } from "../../core/device.ts";
import type { Device } from "../../core/tensor.ts";
import { BY_PROCESSOR } from "./side.ts";

/** Opens `cpu` (the device cpu without system libraries), `blas` (with BLAS), `libraries` (with BLAS and oneDNN) or
 * `webgpu`. */
export function openOwnDevice(name: string): Promise<Device> {
  if (name === "webgpu") return openDevice("webgpu");
  const chosen = (wanted: boolean) => wanted ? "auto" : "off";
  return openDevice("cpu", {
    threads: BY_PROCESSOR ? 1 : undefined,
    blas: chosen(name !== "cpu"),
    dnn: chosen(name === "libraries"),
  });
}
