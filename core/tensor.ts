/** Tensors, the device they live on, and the scopes they die with. */
import type { Backend, Buffer, DeviceName, HostArray, View } from "./backend.ts";
import type { OperationName } from "./ops.ts";
import type { Precision } from "./precision.ts";
import { checkShape, type DType, type Shape, showShape, sizeOf } from "./shape.ts";

/** Values that a tensor shows of itself, and their significant digits. */
const MOST_SHOWN = 8, SHOWN_DIGITS = 5;

/** A buffer with the number of tensors that look at it. */
class Storage {
  references = 0;
  /** The least and the greatest of the whole numbers that the host wrote last, until something else writes. */
  hostRange: readonly [least: number, greatest: number] | undefined = undefined;

  /** @param order in which the device allocated it */
  constructor(readonly buffer: Buffer, readonly bytes: number, readonly order: number) {}
}

/** What the tape holds of a step of a computation, for `backward`. */
export interface Recorded {
  /** Its inputs. */
  readonly inputs: readonly Tensor[];
  /** Its outputs. */
  readonly outputs: readonly Tensor[];
  /** Place in the order of execution. */
  readonly order: number;
}

/** Something other than an operation of the list that made a tensor of another, such as a sum over processes. */
export interface ForeignNode extends Recorded {
  /** No operation. */
  readonly name: "foreign";
  /** The gradient by the one input, of that by the one output. */
  readonly rule: (upstream: Tensor) => Tensor;
}

/** An operation on the tape. */
export interface OperationNode extends Recorded {
  /** The operation. */
  readonly name: OperationName;
  /** Its attributes, of the operation's own type. */
  readonly attributes: unknown;
}

/** A checkpoint on the tape: a computation of which only the inputs and the result were kept. */
export interface CheckpointNode extends Recorded {
  /** Tells it from an operation. */
  readonly name: "checkpoint";
  /** Computes the result again. */
  readonly recompute: () => Tensor;
}

/** What made a tensor. */
export type TapeNode = OperationNode | CheckpointNode | ForeignNode;

/** A contiguous row-major array on a device.
 *
 * Values are read with `floats`, `integers` or `item`, which wait for the device; everything else only issues work.
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
  /** Where the tensor lives. */
  readonly device: Device;
  /** Whether `backward` computes gradients through this tensor. */
  requiresGradient = false;
  /** What made it, if that was recorded. */
  producer: TapeNode | undefined = undefined;
  /** The scope that disposes of it, if there is one. */
  owner: Scope | undefined = undefined;
  #storage: Storage | undefined;
  readonly #release: (storage: Storage) => void;

  /** Made by `Device`; users call `device.tensor` or an operation. */
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

  /** Whether the memory has been given back. */
  get isDisposed(): boolean {
    return this.#storage === undefined;
  }

  /** The device memory that holds the elements.
   * @throws {Error} the tensor was disposed
   */
  get buffer(): Buffer {
    return this.#use().buffer;
  }

  /** The least and the greatest value of an int32 tensor that holds what the host wrote; none of one that was computed. */
  get hostRange(): readonly [least: number, greatest: number] | undefined {
    return this.#use().hostRange;
  }

  /** Says that something other than the host writes to the memory. */
  overwritten(): void {
    this.#use().hostRange = undefined;
  }

  /** Another tensor of the same memory, perhaps of another shape of as many elements; not recorded on the tape.
   * @throws {TypeError} the shape holds another number of elements
   * @throws {Error} the tensor was disposed
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

  /** Waits for the device and gives the only value.
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

  /** Overwrites the values from the host, in place.
   * @throws {TypeError} another number of elements, or another dtype
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

  /** Gives the memory back to the pool; a second call does nothing. */
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

  /** One line for people: shape, dtype, device and, on devices that need not be waited for, the first values. */
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

  /** What `console.log` of Deno prints, instead of the fields and the tape behind them. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** What `console.log` of Node prints. */
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

/** Owns the tensors made while it is open, and disposes of them when it closes.
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

  /** Made by `device.scope()`. */
  constructor(device: Device, parent: Scope | undefined, close: () => void) {
    this.#device = device;
    this.#parent = parent;
    this.#close = close;
  }

  /** Makes a tensor outlive this scope: if this scope owns it, or one inside, the enclosing scope that is still open
   * takes it over (or nobody, if there is none). A tensor from outside outlives this scope as it is.
   * @throws {TypeError} the tensor is on another device
   * @throws {Error} the tensor was disposed
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

  /** Disposes of a tensor before its time, if it was made inside and not kept. */
  release(tensor: Tensor): void {
    if (tensor.owner === this) tensor.dispose();
  }

  /** Lets go of a tensor that it owns. */
  delete(tensor: Tensor): void {
    this.#tensors.delete(tensor);
    tensor.owner = undefined;
  }

  /** Disposes of everything that was made inside and not kept. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#close();
    for (const tensor of [...this.#tensors]) tensor.dispose();
  }

  /** Whether this is the other scope, or one that was opened inside it. */
  #isWithin(other: Scope): boolean {
    return this === other || (this.#parent !== undefined && this.#parent.#isWithin(other));
  }
}

/** Rounds a number of bytes up to a pool class: four classes an octave, from 256 bytes. */
function poolClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const quarter = 2 ** (Math.ceil(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / quarter) * quarter;
}

/** Stands between a device and its kernels for a while, to see what runs. */
export interface Watcher {
  /** What the device runs on meanwhile: its own backend with something around it. */
  readonly backend: Backend;
  /** Hears the name of what follows. */
  phase(name: string): void;
}

/** A device: its kernels, its pool of buffers, its scopes. Made by `openDevice`. */
export class Device implements Disposable {
  #backend: Backend;
  #watcher: Watcher | undefined;
  /** By size, the first that was allocated last: it is the next to be given out, so that a step that allocates and
   * gives back as the one before gets the same buffers. */
  readonly #pool = new Map<number, Storage[]>();
  readonly #scopes: Scope[] = [];
  #liveBytes = 0;
  #pooledBytes = 0;
  #allocated = 0;

  /** Wraps a backend; users call `openDevice`. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The kernels and the memory underneath. */
  get backend(): Backend {
    return this.#backend;
  }

  /** Which device this is. */
  get name(): DeviceName {
    return this.backend.name;
  }

  /** One line for people: threads, or the adapter. */
  get description(): string {
    return this.backend.description;
  }

  /** How precisely layers are computed. */
  get precision(): Precision {
    return this.backend.precision;
  }

  /** Bytes held by tensors that are alive (each buffer counted once, in its pool class). */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Bytes held ready for reuse. */
  get pooledBytes(): number {
    return this.#pooledBytes;
  }

  /** Opens a scope: tensors made until it closes are disposed of then, unless kept. Scopes nest. */
  scope(): Scope {
    const scope = new Scope(this, this.#scopes.at(-1), () => {
      const index = this.#scopes.lastIndexOf(scope);
      if (index >= 0) this.#scopes.splice(index, 1);
    });
    this.#scopes.push(scope);
    return scope;
  }

  /** Copies values from the host into a new tensor; float32 unless they are an Int32Array.
   * @throws {TypeError} the number of values is not the shape's
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
   * @throws {RangeError} an axis is not a positive integer, or the device cannot hold it
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

  /** Puts a new tensor into the innermost open scope. */
  adopt(tensor: Tensor): void {
    this.#scopes.at(-1)?.add(tensor);
  }

  /** Names what follows, up to the next name, for whoever takes a profile; otherwise it does nothing. */
  phase(name: string): void {
    this.#watcher?.phase(name);
  }

  /** Puts a watcher between this device and its kernels, until the result is disposed of.
   * @throws {Error} there is one already
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

  /** Waits until all issued work is done. */
  synchronize(): Promise<void> {
    return this.backend.synchronize();
  }

  /** Frees the pool and stops the device; its tensors may not be used afterwards. */
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
