/** Writes PyTorch weight files: a ZIP archive with a pickle of tensors and one entry per storage. */
import type { HostTensor } from "../core/host_tensor.ts";
import { writeAtomically } from "./atomic_write.ts";
import { encodeZip } from "./zip_writer.ts";

/** Opcodes of pickle's protocol 2. */
const PROTOCOL = [0x80, 2], STOP = 0x2e, MARK = 0x28, TUPLE = 0x74, EMPTY_TUPLE = 0x29;
const EMPTY_DICTIONARY = 0x7d, SET_ITEM = 0x73, GLOBAL = 0x63, REDUCE = 0x52, PERSISTENT = 0x51;
const TEXT = 0x58, INTEGER = 0x4a, FALSE = 0x89;

/** Writes the opcodes of one pickle. */
class Pickler {
  readonly #bytes: number[] = [...PROTOCOL];

  op(...codes: readonly number[]): this {
    for (const code of codes) this.#bytes.push(code);
    return this;
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.op(TEXT, ...littleEndian(bytes.length)).op(...bytes);
  }

  integer(value: number): this {
    if (value > 2 ** 31 - 1) {
      throw new RangeError(
        `Cannot write a PyTorch file: a tensor must have fewer than 2³¹ elements, got ${value}`,
      );
    }
    return this.op(INTEGER, ...littleEndian(value));
  }

  tuple(values: readonly number[]): this {
    this.op(MARK);
    for (const value of values) this.integer(value);
    return this.op(TUPLE);
  }

  name(module: string, name: string): this {
    return this.op(GLOBAL, ...new TextEncoder().encode(`${module}\n${name}\n`));
  }

  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.op(STOP).#bytes);
  }
}

function littleEndian(value: number): readonly number[] {
  return [0, 8, 16, 24].map((shift) => value >>> shift & 0xff);
}

/** Encodes tensors as the bytes of a file that `torch.load` reads as a dictionary of tensors.
 *
 * ```ts
 * import { decodePyTorch, encodePyTorch } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const tensors = new Map([["x", { shape: [2], values: Float32Array.of(1, 2) }]]);
 * const bytes = encodePyTorch(tensors, "state_dict");
 * assert.deepEqual(decodePyTorch(bytes, "made here").get("state_dict.x"), tensors.get("x"));
 * ```
 * @param within the key of an outer dictionary; none by default
 * @throws {RangeError} the file would have 4 GiB or more
 */
export function encodePyTorch(
  tensors: ReadonlyMap<string, HostTensor>,
  within?: string,
): Uint8Array<ArrayBuffer> {
  const pickler = new Pickler().op(EMPTY_DICTIONARY);
  if (within !== undefined) pickler.text(within).op(EMPTY_DICTIONARY);
  const storages = new Map<string, Uint8Array>();
  for (const [name, tensor] of tensors) {
    const key = `${storages.size}`;
    writeTensor(pickler.text(name), tensor, key);
    pickler.op(SET_ITEM);
    const { buffer, byteOffset, byteLength } = tensor.values;
    storages.set(`archive/data/${key}`, new Uint8Array(buffer, byteOffset, byteLength));
  }
  if (within !== undefined) pickler.op(SET_ITEM);
  return encodeZip(
    new Map([
      ["archive/data.pkl", pickler.done()],
      ...storages,
      ["archive/version", new TextEncoder().encode("3\n")],
    ]),
  );
}

/** Writes a PyTorch file atomically: a crash leaves either the old file or the new one.
 * @throws {RangeError} as in `encodePyTorch`
 * @throws {Error} the file cannot be written
 */
export async function writePyTorch(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  within?: string,
): Promise<void> {
  await writeAtomically(path, encodePyTorch(tensors, within));
}

/** Writes a call of the function that rebuilds a tensor from its storage. */
function writeTensor(pickler: Pickler, { shape, values }: HostTensor, key: string): void {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  pickler.name("torch._utils", "_rebuild_tensor_v2").op(MARK);
  pickler.op(MARK).text("storage");
  pickler.name("torch", values instanceof Float32Array ? "FloatStorage" : "IntStorage");
  pickler.text(key).text("cpu").integer(values.length).op(TUPLE, PERSISTENT);
  pickler.integer(0).tuple(shape).tuple(strides).op(FALSE);
  pickler.name("collections", "OrderedDict").op(EMPTY_TUPLE, REDUCE);
  pickler.op(TUPLE, REDUCE);
}
