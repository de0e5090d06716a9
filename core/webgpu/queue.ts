/** The command queue of the GPU. Launches are collected in one pass and submitted together. */
import type { HostArray } from "../backend.ts";
import type { Precision } from "../precision.ts";
import type { AdapterLimits } from "./adapter.ts";
import { PassClock } from "./clock.ts";
import type { Launch, Launcher } from "./launch.ts";
import { GpuMemory, type WebGpuBuffer } from "./memory.ts";
import { NUMBERS_BYTES, Programs } from "./program.ts";
import type { Subgroups } from "./subgroups.ts";
import type { Tilings } from "./tilings.ts";

const RING_SLOTS = 512;
const CACHED_BIND_GROUPS = 16384;
const GROUPS_PER_DIMENSION = 65535;
const STAGING_BUFFERS = 8;

interface CachedBindGroup {
  readonly group: GPUBindGroup;
  /** The buffers in it. */
  readonly buffers: readonly WebGpuBuffer[];
}

/** How kernels are to use a device. */
export interface QueueOptions extends Pick<Launcher, "isSoftware" | "tilings" | "precision"> {
  /** The subgroups that shaders can use, if any. */
  readonly subgroups: Subgroups | undefined;
}

/** Records launches, and submits them when something is read or written, or after a few hundred launches. */
export class CommandQueue implements Launcher {
  readonly isSoftware: boolean;
  readonly tilings: Tilings;
  readonly precision: Precision;
  readonly subgroups: Subgroups | undefined;
  readonly limits: AdapterLimits;
  /** The device's memory. */
  readonly memory: GpuMemory;
  /** Times kernels, if the device can. */
  readonly clock: PassClock | undefined;
  readonly #device: GPUDevice;
  readonly #programs: Programs;
  readonly #ring: GPUBuffer;
  readonly #ringGroup: GPUBindGroup;
  readonly #ringWords = new Uint32Array(RING_SLOTS * NUMBERS_BYTES / 4);
  readonly #bindGroups = new Map<string, CachedBindGroup>();
  readonly #bindGroupsOf = new Map<number, Set<string>>();
  readonly #staging: GPUBuffer[] = [];
  /** Buffers that are being read. */
  readonly #mapped = new Set<GPUBuffer>();
  readonly #onRefusal: (event: Event) => void;
  #outcomes: Promise<void> = Promise.resolve();
  /** The first expected kind of failure, and the first unexpected one. Everything computed since is invalid. */
  #failure: Error | undefined;
  #refusal: Error | undefined;
  #dying: WebGpuBuffer[] = [];
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #launches = 0;
  #unusable: string | undefined;

  /** Takes ownership of a newly opened device. */
  constructor(
    device: GPUDevice,
    limits: AdapterLimits,
    { isSoftware, tilings, precision, subgroups }: QueueOptions,
  ) {
    this.#device = device;
    this.isSoftware = isSoftware;
    this.tilings = tilings;
    this.precision = precision;
    this.subgroups = subgroups;
    this.limits = limits;
    this.memory = new GpuMemory(device, limits, (buffer) => this.free(buffer));
    if (device.features.has("timestamp-query")) {
      this.clock = new PassClock(device, () => this.#endPass());
    }
    const directive = subgroups?.directive ?? "";
    this.#programs = new Programs(device, directive, (outcome) => this.expect(outcome));
    this.#ring = device.createBuffer({
      size: RING_SLOTS * NUMBERS_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#ringGroup = device.createBindGroup({
      layout: this.#programs.numbersLayout,
      entries: [{ binding: 0, resource: { buffer: this.#ring, size: NUMBERS_BYTES } }],
    });
    this.#onRefusal = (event) => {
      this.#refusal ??= new Error(
        `Cannot run on webgpu: the GPU rejected a call: ${
          (event as GPUUncapturedErrorEvent).error.message
        }`,
      );
    };
    device.addEventListener("uncapturederror", this.#onRefusal);
    device.lost.then(({ reason, message }) => {
      this.#unusable ??=
        `the GPU device was lost (${[reason, message].filter(Boolean).join(": ")}); ` +
        "start the task again from its last checkpoint with --resume";
    });
  }

  launch({ key, shader, inputs, outputs, numbers, workgroups }: Launch): void {
    this.#checkUsable();
    if (this.#launches === RING_SLOTS) this.flush();
    const pipeline = this.#programs.pipeline(key, shader);
    const bindGroup = this.#bindGroup(inputs, outputs);
    this.#encoder ??= this.#device.createCommandEncoder();
    const pass = this.#pass ??= this.#encoder.beginComputePass({
      timestampWrites: this.clock?.pass(),
    });
    const offset = this.#launches * NUMBERS_BYTES;
    this.#ringWords.set(numbers, offset / 4);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.setBindGroup(1, this.#ringGroup, [offset]);
    const rows = Math.ceil(workgroups / GROUPS_PER_DIMENSION);
    pass.dispatchWorkgroups(Math.ceil(workgroups / rows), rows);
    this.#launches++;
  }

  scratch(slot: number, bytes: number): WebGpuBuffer {
    return this.memory.scratch(slot, bytes);
  }

  /** Copies host data to the start of a buffer, after the launches so far and before those that follow. */
  write(buffer: WebGpuBuffer, data: HostArray): void {
    this.#checkUsable();
    this.flush();
    this.#device.queue.writeBuffer(buffer.gpu, 0, data);
  }

  /** Submits the recorded launches. */
  flush(): void {
    this.#endPass();
    if (this.#encoder !== undefined) {
      if (this.#launches > 0) {
        const words = this.#launches * NUMBERS_BYTES / 4;
        this.#device.queue.writeBuffer(this.#ring, 0, this.#ringWords, 0, words);
      }
      this.clock?.submitting();
      this.#device.queue.submit([this.#encoder.finish()]);
    }
    this.#encoder = undefined;
    this.#launches = 0;
    for (const buffer of this.#dying) this.memory.destroy(buffer);
    this.#dying = [];
  }

  /** Reads `bytes` bytes, after the launches so far have run.
   * @throws {Error} the device was lost or closed, or work failed
   */
  async read(buffer: WebGpuBuffer, bytes: number): Promise<ArrayBuffer> {
    this.#checkUsable();
    const staging = this.#takeStaging(bytes);
    this.#mapped.add(staging);
    this.#endPass();
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(buffer.gpu, 0, staging, 0, bytes);
    this.flush();
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      const result = staging.getMappedRange(0, bytes).slice(0);
      staging.unmap();
      this.#mapped.delete(staging);
      await this.#settle();
      if (this.#staging.push(staging) > STAGING_BUFFERS) this.#staging.shift()?.destroy();
      return result;
    } catch (error) {
      this.#mapped.delete(staging);
      staging.destroy();
      await new Promise((resolve) => setTimeout(resolve)); // by then it is known whether the device was lost
      await this.#settle();
      throw error;
    }
  }

  /** Waits until the launches so far have run.
   * @throws {Error} the device was lost or closed, or work failed
   */
  async synchronize(): Promise<void> {
    this.#checkUsable();
    this.flush();
    await this.#device.queue.onSubmittedWorkDone();
    await this.#settle();
  }

  /** Destroys a buffer, after the launches recorded on it have been submitted. */
  free(buffer: WebGpuBuffer): void {
    for (const key of this.#bindGroupsOf.get(buffer.id) ?? []) {
      for (const { id } of this.#bindGroups.get(key)?.buffers ?? []) {
        if (id !== buffer.id) this.#bindGroupsOf.get(id)?.delete(key);
      }
      this.#bindGroups.delete(key);
    }
    this.#bindGroupsOf.delete(buffer.id);
    if (this.#encoder === undefined) this.memory.destroy(buffer);
    else this.#dying.push(buffer);
  }

  /** Makes every later `read` and `synchronize` wait for an outcome, and throw it if it is an error. */
  expect(outcome: Promise<Error | undefined>): void {
    const settled = outcome.catch((error: Error) => error);
    this.#outcomes = this.#outcomes.then(async () => {
      this.#failure ??= await settled;
    });
  }

  /** Frees the memory and drops work that was not yet submitted. A second call does nothing.
   * @returns whether the device can be reused by another queue: nothing that ran on it failed
   */
  close(): boolean {
    if (this.#unusable !== undefined) return false;
    this.#unusable = "the device was closed";
    this.#endPass();
    this.#encoder = undefined;
    this.#dying = [];
    for (const buffer of [...this.#staging, ...this.#mapped, this.#ring]) buffer.destroy();
    this.memory.close();
    this.#device.removeEventListener("uncapturederror", this.#onRefusal);
    return this.#failure === undefined && this.#refusal === undefined;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  #checkUsable(): void {
    if (this.#unusable !== undefined) throw new Error(`Cannot run on webgpu: ${this.#unusable}`);
  }

  async #settle(): Promise<void> {
    await this.#outcomes;
    this.#checkUsable();
    const failure = this.#failure ?? this.#refusal;
    if (failure !== undefined) throw failure;
  }

  #takeStaging(bytes: number): GPUBuffer {
    const found = this.#staging.findIndex((buffer) =>
      buffer.size >= bytes && buffer.size <= 4 * bytes + 4096
    );
    if (found >= 0) return this.#staging.splice(found, 1)[0];
    return this.#device.createBuffer({
      size: Math.max(256, bytes),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  #bindGroup(inputs: readonly WebGpuBuffer[], outputs: readonly WebGpuBuffer[]): GPUBindGroup {
    let key = `${inputs.length}`;
    for (const { id } of inputs) key += `,${id}`;
    for (const { id } of outputs) key += `,${id}`;
    const cached = this.#bindGroups.get(key);
    if (cached !== undefined) return cached.group;
    if (this.#bindGroups.size >= CACHED_BIND_GROUPS) {
      this.#bindGroups.clear();
      this.#bindGroupsOf.clear();
    }
    const buffers = [...inputs, ...outputs];
    const group = this.#device.createBindGroup({
      layout: this.#programs.layout(inputs.length, outputs.length),
      entries: buffers.map(({ gpu }, slot) => ({ binding: slot, resource: { buffer: gpu } })),
    });
    this.#bindGroups.set(key, { group, buffers });
    for (const { id } of buffers) {
      const keys = this.#bindGroupsOf.get(id) ?? new Set();
      this.#bindGroupsOf.set(id, keys.add(key));
    }
    return group;
  }
}
