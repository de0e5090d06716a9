/** How kernels use the device: they run shaders on buffers, with a few numbers as parameters. */
import type { Precision } from "../precision.ts";
import type { AdapterLimits } from "./adapter.ts";
import type { WebGpuBuffer } from "./memory.ts";
import type { SubgroupSizes } from "./subgroups.ts";
import type { Tilings } from "./tilings.ts";

/** A compute shader without its boilerplate. The body can use `index` (the thread's number over the whole launch),
 * `group` (its workgroup's number), `local` (its number in the workgroup), the buffers, and `numbers`. */
export interface ComputeShader {
  /** Read-only bindings, as `name: element type`. */
  readonly inputs: readonly string[];
  /** Read-write bindings, in the same form. */
  readonly outputs: readonly string[];
  /** Fields of `numbers`, each four bytes, as `name: type`. */
  readonly numbers: readonly string[];
  /** Functions, constants and workgroup variables. */
  readonly declarations?: string;
  /** Statements of the entry point. */
  readonly body: string;
  /** Threads in a workgroup. */
  readonly workgroupSize: number;
  /** Whether it computes with float16. */
  readonly float16?: boolean;
  /** Whether it calls functions of subgroups. */
  readonly subgroups?: boolean;
}

/** One run of a shader. */
export interface Launch {
  /** Identifies the shader: equal keys must mean equal shaders. */
  readonly key: string;
  /** Creates the shader, if the key is new. */
  readonly shader: () => ComputeShader;
  /** The buffers read, in the shader's order. */
  readonly inputs: readonly WebGpuBuffer[];
  /** The buffers written, in the shader's order. */
  readonly outputs: readonly WebGpuBuffer[];
  /** The values of `numbers`, as 32-bit words. */
  readonly numbers: readonly number[];
  /** How many workgroups run; over 65,535 they fold into two dimensions, and `group` may exceed the last one. */
  readonly workgroups: number;
}

/** Runs launches in order; each sees what those before it wrote. */
export interface Launcher {
  /** Whether the adapter is, or is treated as, a software adapter. */
  readonly isSoftware: boolean;
  /** How products are tiled. */
  readonly tilings: Tilings;
  /** Whether the operands of products are rounded to float16. */
  readonly precision: Precision;
  /** The sizes of subgroups, if shaders can use them. */
  readonly subgroups: SubgroupSizes | undefined;
  /** The device's limits. */
  readonly limits: AdapterLimits;
  /** Runs a shader. */
  launch(launch: Launch): void;
  /** Scratch space number `slot`, for the launches of one kernel. */
  scratch(slot: number, bytes: number): WebGpuBuffer;
  /** Copies host data to the start of a buffer, in sequence with the launches. */
  write(buffer: WebGpuBuffer, data: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void;
}

/** The default number of threads per workgroup. */
export const WORKGROUP_SIZE = 64;

/** How many workgroups of `size` threads are needed for `threads` threads. */
export function workgroupsFor(threads: number, size = WORKGROUP_SIZE): number {
  return Math.ceil(threads / size);
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The 32-bit word of a float32 number, for `Launch.numbers`. */
export function floatBits(value: number): number {
  float[0] = value;
  return bits[0];
}
