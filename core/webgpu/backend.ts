/** The webgpu device: its kernels and memory behind the interface of every device. */
import {
  type Backend,
  type HostArray,
  type KernelClock,
  type Kernels,
  type View,
  wrapKernels,
} from "../backend.ts";
import { showShape } from "../shape.ts";
import { type AdapterReport, openGpu } from "./adapter.ts";
import { codesKernels } from "./kernels/codes.ts";
import { convolutionKernels } from "./kernels/convolution.ts";
import { elementwiseKernels } from "./kernels/elementwise.ts";
import { matmulKernels } from "./kernels/matmul.ts";
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

/** How the device is opened. */
export interface WebGpuOptions {
  /** Submits each kernel by itself and reports what the GPU refuses with the kernel's name and shapes. Slow. */
  readonly debug?: boolean;
  /** Where tiles of matrices are held while they are multiplied: by default in `workgroup` memory, in `registers` on a
   * software adapter. */
  readonly tiling?: "registers" | "workgroup";
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
    ...movementKernels(launcher),
    ...codesKernels(launcher),
    ...nearestKernels(launcher),
    ...randomKernels(launcher),
    ...optimizerKernels(launcher),
  };
}

const show = (views: readonly View[]): string =>
  views.map(({ dtype, shape }) => `${dtype} ${showShape(shape)}`).join(", ");

/** The same kernels, each inside an error scope of its own. */
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

/** The webgpu device. */
export class WebGpuBackend implements Backend<WebGpuBuffer> {
  readonly name = "webgpu";
  readonly description: string;
  readonly kernels: GpuKernels;
  readonly timing: "wait" | KernelClock;
  readonly #queue: CommandQueue;

  /** Takes charge of a freshly opened GPU device. */
  constructor(device: GPUDevice, report: AdapterReport, { debug, tiling }: WebGpuOptions) {
    this.description = `webgpu: ${report.name}${report.isSoftware ? " (software)" : ""}`;
    const inRegisters = tiling === undefined ? report.isSoftware : tiling === "registers";
    this.#queue = new CommandQueue(device, report.limits, inRegisters);
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
    this.#queue.close();
  }
}

/** Opens the webgpu device.
 * @throws {Error} there is no adapter; the message says what to install
 */
export async function openWebGpuBackend(
  options: WebGpuOptions = {},
): Promise<Backend<WebGpuBuffer>> {
  const { device, report } = await openGpu();
  return new WebGpuBackend(device, report, options);
}
