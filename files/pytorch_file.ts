/** PyTorch weight files (`.pth`, `.pt`) in both formats: a ZIP archive with a pickle and one entry per storage, and the
 * older sequence of pickles followed by the storages. No code in them is run: see `pickle.ts`.
 */
import { readFile } from "node:fs/promises";
import type { HostArray } from "../core/backend.ts";
import {
  type Pickled,
  PickledDictionary,
  PickledName,
  PickledObject,
  type PickleOwner,
  readPickle,
} from "./pickle.ts";
import type { HostTensor } from "../core/host_tensor.ts";
import { showShape } from "../core/shape.ts";
import { ZipArchive } from "./zip.ts";
import { regularSize } from "./regular_file.ts";

/** The first value of the older format. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** Tensors may share a storage. Together they may be at most this many times as large as the file. */
const MOST_EXPANSION = 4;
/** The maximum nesting depth of dictionaries. */
const MOST_DEPTH = 16;
/** A dictionary may appear in several places. These limits apply to the number of values, of tensors, and of characters
 * in tensor names, counted over all places: a constant, plus a number per byte of the file. */
const VALUES = [2 ** 12, 1 / 4], TENSORS = [2 ** 12, 1 / 64], LETTERS = [2 ** 16, 2];
/** The maximum number of axes of a tensor, and of characters in a storage's key. */
const MOST_AXES = 32, MOST_KEY = 200;

type Fail = (requirement: string, actual: string) => never;
type Elements = (bytes: Uint8Array<ArrayBuffer>, fail: Fail) => HostArray;

/** The element types: the bytes per element, and the conversion to float32 or int32. */
const STORAGES: ReadonlyMap<string, readonly [width: number, convert: Elements]> = new Map([
  ["torch.FloatStorage", [4, ({ buffer }) => new Float32Array(buffer)]],
  ["torch.DoubleStorage", [8, ({ buffer }) => new Float32Array(new Float64Array(buffer))]],
  ["torch.HalfStorage", [2, ({ buffer }) => new Float32Array(new Float16Array(buffer))]],
  ["torch.BFloat16Storage", [
    2,
    ({ buffer }) => {
      const bits = new Uint32Array(buffer.byteLength / 2);
      new Uint16Array(buffer).forEach((half, at) => bits[at] = half << 16);
      return new Float32Array(bits.buffer);
    },
  ]],
  ["torch.IntStorage", [4, ({ buffer }) => new Int32Array(buffer)]],
  ["torch.LongStorage", [8, ({ buffer }, fail) => {
    const wide = new BigInt64Array(buffer), values = new Int32Array(wide.length);
    for (let at = 0; at < wide.length; at++) {
      values[at] = Number(wide[at]);
      if (BigInt(values[at]) !== wide[at]) fail("its integers must fit 32 bits", `${wide[at]}`);
    }
    return values;
  }]],
]);

/** A sequence of elements that tensors view. */
interface StorageName {
  readonly type: string;
  readonly key: string;
  readonly length: number;
}

/** A view of a storage. */
interface TensorName {
  readonly storage: StorageName;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

class StorageObject extends PickledObject {
  declare readonly value: StorageName;
}

class TensorObject extends PickledObject {
  declare readonly value: TensorName;
}

/** Parses the bytes of a PyTorch file: the tensors of its dictionaries by name, those of a nested dictionary as
 * `outer.inner`. Numbers and strings are left out. Tensors keep PyTorch's layouts.
 *
 * @param source the name of the bytes in error messages: a path
 * @returns float32 for all floating types, int32 for integers
 * @throws {RangeError} the bytes are damaged, contain anything but dictionaries, tensors and plain values, or contain
 * tensors that exceed their storages
 */
export function decodePyTorch(bytes: Uint8Array, source: string): ReadonlyMap<string, HostTensor> {
  const fail: Fail = (requirement, actual) => {
    throw new RangeError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b;
  const { named, storages } = isZip
    ? readArchive(new ZipArchive(bytes, source), bytes.length, fail)
    : readPickles(bytes, fail);
  let left = MOST_EXPANSION * bytes.length;
  const elements = new Map<string, readonly [StorageName, HostArray]>();
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of named) {
    const { storage, shape } = tensor;
    const size = checkView(name, tensor, fail);
    left -= 4 * size;
    if (left < 0) {
      fail(`its tensors must be at most ${MOST_EXPANSION} times as large as the file`, "more");
    }
    const [known, values] = elements.get(storage.key) ??
      [storage, elementsOf(storage, storages(storage), fail)];
    if (known.type !== storage.type || known.length !== storage.length) {
      fail(
        `storage ${JSON.stringify(storage.key)} must have one type and length everywhere`,
        "another one",
      );
    }
    elements.set(storage.key, [known, values]);
    tensors.set(name, { shape, values: viewed(values, tensor, size) });
  }
  return tensors;
}

/** Reads a PyTorch file; see `decodePyTorch`.
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} as in `decodePyTorch`
 */
export async function readPyTorch(path: string): Promise<ReadonlyMap<string, HostTensor>> {
  const bytes = await regularSize(path).then(() => readFile(path)).catch((cause: Error) => {
    throw new Error(
      `Cannot read ${path}: the file must exist and be readable, got ${cause.message}`,
      { cause },
    );
  });
  return decodePyTorch(bytes, path);
}

type NamedTensors = readonly (readonly [string, TensorName])[];

interface Contents {
  readonly named: NamedTensors;
  /** Returns the bytes of a storage. */
  readonly storages: (storage: StorageName) => Uint8Array;
}

function readArchive(archive: ZipArchive, bytes: number, fail: Fail): Contents {
  const pickle = archive.names.find((name) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickle === undefined) return fail("the archive must hold data.pkl", "none");
  const folder = pickle.slice(0, pickle.indexOf("/"));
  const order = `${folder}/byteorder`;
  if (archive.names.includes(order)) {
    const text = new TextDecoder().decode(archive.read(order, bytes));
    if (text !== "little") {
      fail("its numbers must be little-endian", JSON.stringify(text.slice(0, 80)));
    }
  }
  const { value } = readPickle(archive.read(pickle, bytes), 0, ownerOf(fail));
  return {
    named: tensorsOf(value, bytes, fail),
    storages: ({ key }) => archive.read(`${folder}/data/${key}`, bytes),
  };
}

function readPickles(bytes: Uint8Array, fail: Fail): Contents {
  let at = 0;
  const next = (): Pickled => {
    const { value, end } = readPickle(bytes, at, ownerOf(fail));
    at = end;
    return value;
  };
  // Another kind of file fails here, at its first byte.
  if (bytes[0] !== 0x80 || next() !== MAGIC) fail("it must be a PyTorch file", "another kind");
  const protocol = next();
  if (protocol !== PROTOCOL) {
    fail(`its protocol must be ${PROTOCOL}`, typeof protocol === "number" ? `${protocol}` : "none");
  }
  const system = next();
  if (system instanceof PickledDictionary && system.entries.get("little_endian") === false) {
    fail("its numbers must be little-endian", "big-endian ones");
  }
  const named = tensorsOf(next(), bytes.length, fail);
  const keys = next();
  const areTexts = (value: Pickled): value is readonly string[] =>
    Array.isArray(value) && value.every((key) => typeof key === "string");
  if (!areTexts(keys)) return fail("it must list its storages", "another value");
  const starts = new Map<string, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const widths = new Map(
    named.map(([, { storage }]) => [storage.key, widthOf(storage, fail)]),
  );
  for (const key of new Set(keys)) {
    const width = widths.get(key);
    if (width === undefined) {
      fail("every storage must have a tensor", JSON.stringify(key.slice(0, MOST_KEY)));
    }
    if (at + 8 > bytes.length) fail("it must hold its storages", "a truncated file");
    starts.set(key, at);
    at += 8 + Number(view.getBigUint64(at, true)) * width!;
  }
  return {
    named,
    storages: (storage) => {
      const start = starts.get(storage.key);
      if (start === undefined) return fail("it must hold its storages", `no ${storage.key}`);
      const length = view.getBigUint64(start, true);
      if (length !== BigInt(storage.length)) {
        fail(`storage ${storage.key} must have ${storage.length} elements`, `${length}`);
      }
      const from = start + 8;
      return bytes.subarray(from, from + storage.length * widthOf(storage, fail));
    },
  };
}

/** What a PyTorch pickle may name: dictionaries, tensors, and the parameters around them. */
function ownerOf(fail: Fail): PickleOwner {
  return {
    fail,
    reduce(name, args) {
      switch (name) {
        case "collections.OrderedDict":
          return args.length === 0 ? new PickledDictionary() : fail(
            "its dictionaries must be created empty",
            "one with arguments",
          );
        case "torch._utils._rebuild_tensor":
        case "torch._utils._rebuild_tensor_v2":
          return new TensorObject(tensorName(args, fail));
        case "torch._utils._rebuild_parameter":
          return args[0] instanceof TensorObject
            ? args[0]
            : fail("a parameter must be a tensor", "another value");
        default:
          return fail("it must hold dictionaries and tensors only", JSON.stringify(name));
      }
    },
    persistent(id) {
      if (!Array.isArray(id)) return fail("a storage must be named by a tuple", "another value");
      const [kind, type, key, , length, part = null] = id;
      const good = kind === "storage" && type instanceof PickledName && typeof key === "string" &&
        key.length <= MOST_KEY && isCount(length) && part === null;
      if (!good) return fail("a storage must have a type, a key and a length", "another tuple");
      return new StorageObject({ type: (type as PickledName).name, key, length });
    },
  };
}

function tensorName([storage, offset, shape, strides]: readonly Pickled[], fail: Fail): TensorName {
  const areCounts = (value: Pickled): value is readonly number[] =>
    Array.isArray(value) && value.length <= MOST_AXES && value.every(isCount);
  if (!(storage instanceof StorageObject) || !isCount(offset)) {
    return fail("a tensor must view a storage", "another value");
  }
  if (!areCounts(shape) || !areCounts(strides) || shape.length !== strides.length) {
    return fail("a tensor must have a shape and strides", "other values");
  }
  return { storage: storage.value, offset, shape, strides };
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** All tensors within a value, by name. Rejects dictionaries that contain themselves, are nested too deep, or appear
 * too often for the size of the file.
 * @param bytes the size of the file
 */
function tensorsOf(root: Pickled, bytes: number, fail: Fail): NamedTensors {
  const found: [string, TensorName][] = [];
  const [mostValues, mostTensors, mostLetters] = [VALUES, TENSORS, LETTERS].map(
    ([free, each]) => free + Math.floor(each * bytes),
  );
  let values = 0, letters = 0;
  const visit = (value: Pickled, path: string, depth: number): void => {
    if (depth > MOST_DEPTH) fail(`it must be nested at most ${MOST_DEPTH} deep`, "more");
    if (++values > mostValues) fail(`it must hold at most ${mostValues} values`, "more");
    if (value instanceof TensorObject) {
      letters += path.length;
      if (letters > mostLetters) {
        fail(`its names must have at most ${mostLetters} characters in total`, "more");
      }
      if (found.length === mostTensors) fail(`it must hold at most ${mostTensors} tensors`, "more");
      found.push([path, value.value]);
    }
    if (value instanceof PickledDictionary) {
      for (const [key, child] of value.entries) {
        visit(child, path === "" ? key : `${path}.${key}`, depth + 1);
      }
    }
  };
  visit(root, "", 0);
  return found;
}

/** Checks that a tensor lies within its storage, and returns its number of elements. */
function checkView(
  name: string,
  { storage, offset, shape, strides }: TensorName,
  fail: Fail,
): number {
  // The product alone is not enough: it may become infinite before a factor of 0.
  const size = shape.includes(0) ? 0 : shape.reduce((product, length) => product * length, 1);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis], offset);
  if (size > 0 && !(last < storage.length)) {
    const shown = JSON.stringify(name.slice(0, 80));
    fail(
      `${shown} must lie within its storage of ${storage.length} elements`,
      `${showShape(shape)} up to element ${last}`,
    );
  }
  return size;
}

function widthOf({ type }: StorageName, fail: Fail): number {
  const [width] = STORAGES.get(type) ?? fail("its tensors must be of a known type", type);
  return width;
}

function elementsOf(storage: StorageName, bytes: Uint8Array, fail: Fail): HostArray {
  const wanted = storage.length * widthOf(storage, fail);
  if (bytes.length !== wanted) {
    fail(`storage ${JSON.stringify(storage.key)} must have ${wanted} bytes`, `${bytes.length}`);
  }
  const [, convert] = STORAGES.get(storage.type)!;
  return convert(new Uint8Array(bytes), fail);
}

/** The elements of a view, row-major. */
function viewed(
  elements: HostArray,
  { offset, shape, strides }: TensorName,
  size: number,
): HostArray {
  const values = elements instanceof Float32Array ? new Float32Array(size) : new Int32Array(size);
  const index = shape.map(() => 0);
  for (let at = 0, from = offset; at < size; at++) {
    values[at] = elements[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return values;
}
