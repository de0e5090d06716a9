/** The webgpu device: its kernels and memory behind the interface of every device. */
import {
  type Backend,
  type HostArray,
  type KernelClock,
  type Kernels,
  type View,
  wrapKernels,
} from "../backend.ts";
import type { Precision } from "../precision.ts";
import { showShape } from "../shape.ts";
import { type AdapterReport, type OpenedGpu, openGpu, tilingsNow } from "./adapter.ts";
import { attentionKernels } from "./kernels/attention.ts";
import { codesKernels } from "./kernels/codes.ts";
import { convolutionKernels } from "./kernels/convolution.ts";
import { crossEntropyKernels } from "./kernels/cross_entropy.ts";
import { elementwiseKernels } from "./kernels/elementwise.ts";
import { groupNormKernels } from "./kernels/group_norm.ts";
import { matmulKernels } from "./kernels/matmul.ts";
import { maxPoolKernels } from "./kernels/max_pool.ts";
import { movementKernels } from "./kernels/movement.ts";
import { nearestKernels } from "./kernels/nearest.ts";
import { normalizationKernels } from "./kernels/normalization.ts";
import { optimizerKernels } from "./kernels/optimizer.ts";
import { randomKernels } from "./kernels/random.ts";
import { reductionKernels } from "./kernels/reductions.ts";
import { selectionKernels } from "./kernels/selection.ts";
import type { Launcher } from "./launch.ts";
import type { WebGpuBuffer } from "./memory.ts";
import { CommandQueue } from "./queue.ts";
import { showSizes } from "./subgroups.ts";
import { type Tiling, tilingName, type Tilings, tilingsFor } from "./tilings.ts";

/** Options of the device. */
export interface WebGpuOptions {
  /** Whether to submit each kernel separately and report GPU errors with the kernel's name and shapes. Slow. */
  readonly debug?: boolean;
  /** Whether to treat the adapter as a software adapter; by default, if it is one. */
  readonly software?: boolean;
  /** Whether kernels use subgroups; by default, if the device has them. */
  readonly subgroups?: boolean;
  /** The name of a tiling for all products, instead of those chosen for the adapter. */
  readonly tiling?: string;
  /** `mixed` rounds the operands of products to float16; `float32` by default. */
  readonly precision?: Precision;
}

type GpuKernels = Kernels<WebGpuBuffer>;

function kernelsOf(launcher: Launcher): GpuKernels {
  return {
    ...elementwiseKernels(launcher),
    ...reductionKernels(launcher),
    ...selectionKernels(launcher),
    ...matmulKernels(launcher),
    ...convolutionKernels(launcher),
    ...normalizationKernels(launcher),
    ...groupNormKernels(launcher),
    ...attentionKernels(launcher),
    ...movementKernels(launcher),
    ...maxPoolKernels(launcher),
    ...codesKernels(launcher),
    ...crossEntropyKernels(launcher),
    ...nearestKernels(launcher),
    ...randomKernels(launcher),
    ...optimizerKernels(launcher),
  };
}

const show = (views: readonly View[]): string =>
  views.map(({ dtype, shape }) => `${dtype} ${showShape(shape)}`).join(", ");

/** Wraps each kernel in its own error scope. */
function watchedKernels(kernels: GpuKernels, queue: CommandQueue, device: GPUDevice): GpuKernels {
  return wrapKernels(kernels, (name, kernel) => (inputs, outputs, attributes) => {
    queue.flush();
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    kernel(inputs, outputs, attributes);
    queue.flush();
    for (let scope = 0; scope < 2; scope++) {
      queue.expect(
        device.popErrorScope().then((error) =>
          error === null ? undefined : new Error(
            `Cannot run ${name} on ${show(inputs)} to ${
              show(outputs)
            }: the GPU refused it: ${error.message}`,
          )
        ),
      );
    }
  });
}

/** The tilings of a report, or the default ones for the assumed kind of adapter, or a single one by name. */
function tilingsOf(
  { isSoftware, limits, tilings }: AdapterReport,
  software: boolean,
  name: string | undefined,
): Tilings {
  const candidates = tilingsFor(software, limits);
  const named = (wanted: string): Tiling => {
    const found = candidates.find((tiling) => tilingName(tiling) === wanted);
    if (found !== undefined) return found;
    throw new RangeError(
      `Cannot open device webgpu: the tiling must be one of ${
        candidates.map(tilingName).join(", ")
      }, got ${wanted}`,
    );
  };
  if (name !== undefined) return { matmul: named(name), convolution: named(name) };
  if (software !== isSoftware) return { matmul: candidates[0], convolution: candidates[0] };
  return { matmul: named(tilings.matmul), convolution: named(tilings.convolution) };
}

/** The webgpu device. */
export class WebGpuBackend implements Backend<WebGpuBuffer> {
  readonly name = "webgpu";
  readonly description: string;
  readonly precision: Precision;
  readonly kernels: GpuKernels;
  readonly timing: "wait" | KernelClock;
  readonly #queue: CommandQueue;
  readonly #device: GPUDevice;
  readonly #onClose: () => void;
  #isClosed = false;

  /** Takes ownership of an opened GPU device.
   * @param onClose called at the end if the device can be reused; by default the device is destroyed
   */
  constructor(
    { device, report, subgroups }: OpenedGpu,
    options: WebGpuOptions,
    onClose: () => void = () => device.destroy(),
  ) {
    this.#device = device;
    this.#onClose = onClose;
    const { debug, software = report.isSoftware, precision = "float32" } = options;
    const used = options.subgroups === false ? undefined : subgroups;
    const { tuned, complaint } = report.tilings;
    this.precision = precision;
    this.description = [
      `webgpu: ${report.name}${report.isSoftware ? " (software)" : ""}`,
      used === undefined ? "no subgroups" : `subgroups of ${showSizes(used)}`,
      ...tuned ? ["tuned"] : [],
      ...precision === "mixed" ? ["mixed precision"] : [],
      ...complaint === undefined ? [] : ["its tuning ignored (see doctor)"],
    ].join(", ");
    const tilings = tilingsOf(report, software, options.tiling);
    this.#queue = new CommandQueue(device, report.limits, {
      isSoftware: software,
      tilings,
      precision,
      subgroups: used,
    });
    this.timing = this.#queue.clock ?? "wait";
    const kernels = kernelsOf(this.#queue);
    this.kernels = debug ? watchedKernels(kernels, this.#queue, device) : kernels;
  }

  allocate(bytes: number): WebGpuBuffer {
    return this.#queue.memory.allocate(bytes);
  }

  free(buffer: WebGpuBuffer): void {
    this.#queue.free(buffer);
  }

  write(buffer: WebGpuBuffer, data: HostArray): void {
    this.#queue.write(buffer, data);
  }

  async read(
    buffer: WebGpuBuffer,
    dtype: "float32" | "int32",
    length: number,
  ): Promise<HostArray> {
    const bytes = await this.#queue.read(buffer, length * 4);
    return dtype === "float32" ? new Float32Array(bytes) : new Int32Array(bytes);
  }

  synchronize(): Promise<void> {
    return this.#queue.synchronize();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#queue.close()) this.#onClose();
    else this.#device.destroy();
  }
}

/** Devices that were closed without errors. A new device would start threads that never end: Deno's implementation of
 * WebGPU keeps them even after the device is destroyed. */
const idle: OpenedGpu[] = [];

/** Keeps a device for reuse, unless it is lost before. */
function keep(opened: OpenedGpu): void {
  idle.push(opened);
  opened.device.lost.then(() => {
    const place = idle.indexOf(opened);
    if (place >= 0) idle.splice(place, 1);
  });
}

/** An idle device with the required precision, and the latest results of `deno task tune`. */
async function reopened(precision: Precision = "float32"): Promise<OpenedGpu | undefined> {
  const place = idle.findLastIndex(({ device }) =>
    precision === "float32" || device.features.has("shader-f16")
  );
  if (place < 0) return undefined;
  const [opened] = idle.splice(place, 1);
  const { report } = opened;
  return { ...opened, report: { ...report, tilings: await tilingsNow(report) } };
}

/** Opens the webgpu device: reuses one that this process has closed, or opens a new one.
 * @throws {Error} there is no adapter (the message says what to install)
 */
export async function openWebGpuBackend(
  options: WebGpuOptions = {},
): Promise<Backend<WebGpuBuffer>> {
  const opened = await reopened(options.precision) ?? await openGpu(options.precision);
  return new WebGpuBackend(opened, options, () => keep(opened));
}
