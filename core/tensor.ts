/** Tensors, their device, and the scopes that dispose of them. */
import type { Backend, Buffer, DeviceName, HostArray, View } from "./backend.ts";
import type { OperationName } from "./ops.ts";
import type { Precision } from "./precision.ts";
import { checkShape, type DType, type Shape, showShape, sizeOf } from "./shape.ts";

/** How many values `toString` shows, and with how many significant digits. */
const MOST_SHOWN = 8, SHOWN_DIGITS = 5;

/** A buffer, and the number of tensors that share it. */
class Storage {
  references = 0;
  /** The minimum and maximum of the integers that the host wrote last; undefined once something else has written. */
  hostRange: readonly [least: number, greatest: number] | undefined = undefined;

  /** @param order the position in the device's order of allocation */
  constructor(readonly buffer: Buffer, readonly bytes: number, readonly order: number) {}
}

/** A recorded step of a computation, for `backward`. */
export interface Recorded {
  /** Its inputs. */
  readonly inputs: readonly Tensor[];
  /** Its outputs. */
  readonly outputs: readonly Tensor[];
  /** Its position in the order of execution. */
  readonly order: number;
}

/** A recorded computation that is not one of the operations of `ops.ts`, such as a sum over processes. */
export interface ForeignNode extends Recorded {
  /** Not an operation. */
  readonly name: "foreign";
  /** Computes the gradient of the input from that of the output. */
  readonly rule: (upstream: Tensor) => Tensor;
}

/** An operation on the tape. */
export interface OperationNode extends Recorded {
  /** The operation. */
  readonly name: OperationName;
  /** Its attributes, whose type depends on the operation. */
  readonly attributes: unknown;
}

/** A checkpoint on the tape: a computation of which only the inputs and the result were kept. */
export interface CheckpointNode extends Recorded {
  /** Distinguishes it from an operation. */
  readonly name: "checkpoint";
  /** Computes the result again. */
  readonly recompute: () => Tensor;
}

/** The node that produced a tensor. */
export type TapeNode = OperationNode | CheckpointNode | ForeignNode;

/** A contiguous row-major array on a device.
 *
 * Values are read with `floats`, `integers` or `item`, which wait for the device. Everything else only submits work.
 *
 * ```ts
 * import { mul, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1, 2, 3, 4], [2, 2]);
 * assert.deepEqual([...await mul(x, x).floats()], [1, 4, 9, 16]);
 * ```
 */
export class Tensor implements View, Disposable {
  /** The lengths of the axes. */
  readonly shape: Shape;
  /** The element type. */
  readonly dtype: DType;
  /** The tensor's device. */
  readonly device: Device;
  /** Whether `backward` computes gradients through this tensor. */
  requiresGradient = false;
  /** The node that produced it, if recorded. */
  producer: TapeNode | undefined = undefined;
  /** The scope that will dispose of it, if any. */
  owner: Scope | undefined = undefined;
  #storage: Storage | undefined;
  readonly #release: (storage: Storage) => void;

  /** Called by `Device`. Users call `device.tensor` or an operation. */
  constructor(
    device: Device,
    storage: Storage,
    shape: Shape,
    dtype: DType,
    release: (storage: Storage) => void,
  ) {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
    this.#release = release;
    storage.references++;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Whether the memory was freed. */
  get isDisposed(): boolean {
    return this.#storage === undefined;
  }

  /** The device memory that holds the elements.
   * @throws {Error} the tensor was disposed of
   */
  get buffer(): Buffer {
    return this.#use().buffer;
  }

  /** The minimum and maximum of an int32 tensor whose values the host wrote; undefined for a computed tensor. */
  get hostRange(): readonly [least: number, greatest: number] | undefined {
    return this.#use().hostRange;
  }

  /** Records that something other than the host has written to the memory. */
  overwritten(): void {
    this.#use().hostRange = undefined;
  }

  /** Another tensor that shares this memory, optionally with another shape of the same size. Not recorded on the tape.
   * @throws {TypeError} the shape has a different number of elements
   * @throws {Error} the tensor was disposed of
   */
  view(shape: Shape = this.shape): Tensor {
    checkShape(shape, "view a tensor");
    if (sizeOf(shape) !== this.size) {
      throw new TypeError(
        `Cannot view a tensor: the new shape must hold ${this.size} elements, got ${
          showShape(this.shape)
        } as ${showShape(shape)}`,
      );
    }
    const tensor = new Tensor(this.device, this.#use(), shape, this.dtype, this.#release);
    this.device.adopt(tensor);
    return tensor;
  }

  /** Waits for the device and copies the values to the host.
   * @throws {TypeError} the tensor is not float32
   */
  async floats(): Promise<Float32Array<ArrayBuffer>> {
    const values = await this.#read();
    if (values instanceof Float32Array) return values;
    throw new TypeError(`Cannot read floats: the tensor must be float32, got ${this.dtype}`);
  }

  /** Waits for the device and copies the values to the host.
   * @throws {TypeError} the tensor is not int32
   */
  async integers(): Promise<Int32Array<ArrayBuffer>> {
    const values = await this.#read();
    if (values instanceof Int32Array) return values;
    throw new TypeError(`Cannot read integers: the tensor must be int32, got ${this.dtype}`);
  }

  /** Waits for the device and returns the only value.
   * @throws {TypeError} the tensor has more than one element
   */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new TypeError(
        `Cannot read one value: the tensor must have one element, got shape ${
          showShape(this.shape)
        }`,
      );
    }
    return (await this.#read())[0];
  }

  /** Overwrites the values in place from the host.
   * @throws {TypeError} the number of values or the dtype does not match
   */
  write(values: HostArray): void {
    const dtype = values instanceof Float32Array ? "float32" : "int32";
    if (values.length !== this.size || dtype !== this.dtype) {
      throw new TypeError(
        `Cannot write values: ${this.size} of ${this.dtype} are needed, got ${values.length} of ${dtype}`,
      );
    }
    this.device.backend.write(this.buffer, values);
    this.#use().hostRange = values instanceof Int32Array ? rangeOf(values) : undefined;
  }

  /** Returns the memory to the pool. A second call does nothing. */
  dispose(): void {
    if (this.#storage === undefined) return;
    const storage = this.#storage;
    this.#storage = undefined;
    this.owner?.delete(this);
    if (--storage.references === 0) this.#release(storage);
  }

  /** The same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A one-line summary: shape, dtype, device and, if the host can read them without waiting, the first values. */
  toString(): string {
    const { shape, dtype, device } = this;
    const learned = this.requiresGradient ? ", requires gradient" : "";
    const head = `Tensor ${dtype} ${showShape(shape)} on ${device.name}${learned}`;
    if (this.#storage === undefined) return `${head}, disposed`;
    const shown = Math.min(this.size, MOST_SHOWN);
    const values = device.backend.host?.(this.#storage.buffer, dtype, shown);
    if (values === undefined) return head;
    const texts = [...values].map((value) => String(Number(value.toPrecision(SHOWN_DIGITS))));
    return `${head}: ${[...texts, ...shown < this.size ? ["…"] : []].join(", ")}`;
  }

  /** What Deno's `console.log` prints, instead of all fields and the tape. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** What Node's `console.log` prints. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): { readonly "text/plain": string } {
    return { "text/plain": this.toString() };
  }

  #use(): Storage {
    if (this.#storage === undefined) {
      throw new Error(
        `Cannot use the tensor ${
          showShape(this.shape)
        }: it was disposed, by its scope or by hand; keep it with scope.keep`,
      );
    }
    return this.#storage;
  }

  #read(): Promise<HostArray> {
    return this.device.backend.read(this.buffer, this.dtype, this.size);
  }
}

function rangeOf(values: Int32Array): readonly [least: number, greatest: number] {
  let least = Infinity, greatest = -Infinity;
  for (const value of values) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/** Owns the tensors that are created while it is open, and disposes of them when it closes.
 *
 * ```ts
 * import { exp, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([0, 1], [2]);
 * const before = device.liveBytes;
 * {
 *   using scope = device.scope();
 *   exp(exp(x));
 * }
 * assert.equal(device.liveBytes, before);
 * ```
 */
export class Scope implements Disposable {
  readonly #tensors = new Set<Tensor>();
  readonly #device: Device;
  readonly #parent: Scope | undefined;
  readonly #close: () => void;
  #isOpen = true;

  /** Called by `device.scope()`. */
  constructor(device: Device, parent: Scope | undefined, close: () => void) {
    this.#device = device;
    this.#parent = parent;
    this.#close = close;
  }

  /** Makes a tensor outlive this scope. If this scope or one inside it owns the tensor, ownership moves to the
   * enclosing open scope, or to nobody if there is none. A tensor from outside outlives this scope anyway.
   * @throws {TypeError} the tensor is on another device
   * @throws {Error} the tensor was disposed of
   */
  keep(tensor: Tensor): Tensor {
    if (tensor.device !== this.#device) {
      throw new TypeError(
        `Cannot keep a tensor: it must be on the scope's device ${this.#device.name}, got one on ${tensor.device.name}`,
      );
    }
    if (tensor.isDisposed) {
      throw new Error(
        `Cannot keep the tensor ${
          showShape(tensor.shape)
        }: it must be alive, got one that was disposed`,
      );
    }
    const { owner } = tensor;
    if (owner !== undefined && owner.#isWithin(this)) {
      owner.delete(tensor);
      let heir = this.#parent;
      while (heir !== undefined && !heir.#isOpen) heir = heir.#parent;
      heir?.add(tensor);
    }
    return tensor;
  }

  /** Takes ownership of a tensor. */
  add(tensor: Tensor): void {
    tensor.owner?.delete(tensor);
    this.#tensors.add(tensor);
    tensor.owner = this;
  }

  /** Disposes of a tensor early, if it was made inside and not kept. */
  release(tensor: Tensor): void {
    if (tensor.owner === this) tensor.dispose();
  }

  /** Gives up ownership of a tensor. */
  delete(tensor: Tensor): void {
    this.#tensors.delete(tensor);
    tensor.owner = undefined;
  }

  /** Disposes of all tensors that were made inside and not kept. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#close();
    for (const tensor of [...this.#tensors]) tensor.dispose();
  }

  /** Whether this is `other`, or was opened inside it. */
  #isWithin(other: Scope): boolean {
    return this === other || (this.#parent !== undefined && this.#parent.#isWithin(other));
  }
}

/** Rounds a number of bytes up to a pool class: four classes per power of two, from 256 bytes. */
function poolClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const quarter = 2 ** (Math.ceil(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / quarter) * quarter;
}

/** Observes the kernels of a device for a while. */
export interface Watcher {
  /** The backend that the device uses meanwhile: a wrapper of its own backend. */
  readonly backend: Backend;
  /** Called with the name of the next phase. */
  phase(name: string): void;
}

/** A device: its kernels, its pool of buffers, its scopes. Made by `openDevice`. */
export class Device implements Disposable {
  #backend: Backend;
  #watcher: Watcher | undefined;
  /** Free buffers by size. Buffers are reused in a fixed order (earliest allocated first), so that a step with the same
   * allocations as the one before gets the same buffers. */
  readonly #pool = new Map<number, Storage[]>();
  readonly #scopes: Scope[] = [];
  #liveBytes = 0;
  #pooledBytes = 0;
  #allocated = 0;

  /** Wraps a backend. Users call `openDevice`. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The kernels and memory of the device. */
  get backend(): Backend {
    return this.#backend;
  }

  /** Which device this is. */
  get name(): DeviceName {
    return this.backend.name;
  }

  /** One line of description: threads, or the adapter. */
  get description(): string {
    return this.backend.description;
  }

  /** The precision of layers. */
  get precision(): Precision {
    return this.backend.precision;
  }

  /** Bytes held by live tensors (each buffer counted once, at the size of its pool class). */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Bytes held for reuse. */
  get pooledBytes(): number {
    return this.#pooledBytes;
  }

  /** Opens a scope. When the scope closes, it disposes of the tensors created in it, unless they are kept. Scopes can be
   * nested. */
  scope(): Scope {
    const scope = new Scope(this, this.#scopes.at(-1), () => {
      const index = this.#scopes.lastIndexOf(scope);
      if (index >= 0) this.#scopes.splice(index, 1);
    });
    this.#scopes.push(scope);
    return scope;
  }

  /** Copies values from the host into a new tensor; float32 unless they are an Int32Array.
   * @throws {TypeError} the number of values does not match the shape
   * @throws {RangeError} an axis is not a positive integer
   */
  tensor(values: HostArray | readonly number[], shape: Shape): Tensor {
    const array = values instanceof Float32Array || values instanceof Int32Array
      ? values
      : Float32Array.from(values);
    checkShape(shape, "make a tensor");
    if (array.length !== sizeOf(shape)) {
      throw new TypeError(
        `Cannot make a tensor: shape ${showShape(shape)} holds ${
          sizeOf(shape)
        } values, got ${array.length}`,
      );
    }
    const tensor = this.empty(shape, array instanceof Int32Array ? "int32" : "float32");
    tensor.write(array);
    return tensor;
  }

  /** A new tensor with undefined contents.
   * @throws {RangeError} an axis is not a positive integer, or the device does not have the memory
   */
  empty(shape: Shape, dtype: DType = "float32"): Tensor {
    checkShape(shape, "make a tensor");
    const bytes = poolClass(sizeOf(shape) * 4);
    const storage = this.#allocate(bytes);
    storage.hostRange = undefined;
    this.#liveBytes += bytes;
    const tensor = new Tensor(this, storage, shape, dtype, (unused) => this.#recycle(unused));
    this.adopt(tensor);
    return tensor;
  }

  /** Adds a new tensor to the innermost open scope. */
  adopt(tensor: Tensor): void {
    this.#scopes.at(-1)?.add(tensor);
  }

  /** Names the phase up to the next call, for a profile. Without a profile it does nothing. */
  phase(name: string): void {
    this.#watcher?.phase(name);
  }

  /** Lets a watcher observe this device until the result is disposed of.
   * @throws {Error} there is already a watcher
   */
  watch(watcher: Watcher): Disposable {
    if (this.#watcher !== undefined) {
      throw new Error(
        `Cannot watch ${this.name}: one watcher is allowed at a time, got a second`,
      );
    }
    const before = this.#backend;
    this.#watcher = watcher;
    this.#backend = watcher.backend;
    return {
      [Symbol.dispose]: () => {
        this.#watcher = undefined;
        this.#backend = before;
      },
    };
  }

  /** Waits until all submitted work is done. */
  synchronize(): Promise<void> {
    return this.backend.synchronize();
  }

  /** Frees the pool and stops the device. Its tensors must not be used afterwards. */
  close(): void {
    this.#drain();
    this.backend.close();
  }

  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #allocate(bytes: number): Storage {
    const ready = this.#pool.get(bytes)?.pop();
    if (ready !== undefined) {
      this.#pooledBytes -= bytes;
      return ready;
    }
    try {
      return new Storage(this.backend.allocate(bytes), bytes, this.#allocated++);
    } catch (error) {
      if (this.#pooledBytes === 0) throw error;
      this.#drain();
      return new Storage(this.backend.allocate(bytes), bytes, this.#allocated++);
    }
  }

  #recycle(storage: Storage): void {
    const { bytes, order } = storage;
    const ready = this.#pool.get(bytes) ?? [];
    ready.splice(ready.findLastIndex((other) => other.order > order) + 1, 0, storage);
    this.#pool.set(bytes, ready);
    this.#liveBytes -= bytes;
    this.#pooledBytes += bytes;
  }

  #drain(): void {
    for (const ready of this.#pool.values()) {
      for (const { buffer } of ready) this.backend.free(buffer);
    }
    this.#pool.clear();
    this.#pooledBytes = 0;
  }
}
