/** Reads the part of Python's pickle format that data needs. No code is run and no class is created. Anything else is
 * rejected.
 *
 * Source: Python's Lib/pickletools.py; protocol 2, which PyTorch writes. A program of opcodes fills a stack. A one-byte
 * opcode can create a dictionary of hundreds of bytes, so the memory that a pickle creates is counted, and limited in
 * proportion to its size. Repeated values are shared, not copied. So a caller that walks the result may visit more
 * values than the pickle has bytes.
 */

/** A value in a pickle. Tuples and lists both become arrays; long integers become bigints. */
export type Pickled =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Pickled[]
  | PickledDictionary
  | PickledName
  | PickledObject;

/** A dictionary. */
export class PickledDictionary {
  /** The entries in order. A numeric key becomes a string, because a file could choose numbers that collide in a map. A
   * class as a key becomes its name. */
  readonly entries: Map<string, Pickled> = new Map();
}

/** A class or function that a pickle names: `collections.OrderedDict`. */
export class PickledName {
  /** Stores the name. Nothing looks it up. */
  constructor(readonly name: string) {}
}

/** An object that the owner of the reader made from a name with arguments, or from a persistent id. */
export class PickledObject {
  /** Wraps what was made. */
  constructor(readonly value: unknown) {}
}

/** Decisions that the owner of a reader makes. */
export interface PickleOwner {
  /** Makes an object from the name of a class or function and its arguments, or throws. */
  reduce(name: string, args: readonly Pickled[]): Pickled;
  /** Resolves a persistent id, or throws. */
  persistent(id: Pickled): Pickled;
  /** Rejects the pickle. */
  fail(requirement: string, actual: string): never;
}

/** The maximum memory of a pickle's values in bytes: a constant, plus a number of bytes per byte of the pickle. */
const FREE_BYTES = 2 ** 24, EXPANSION = 4;
/** The approximate memory of values in bytes: a list, each of its elements, and so on. */
const LIST = 64, ELEMENT = 16, DICTIONARY = 256, ITEM = 96, TEXT = 32, OBJECT = 256, PLACE = 48;
/** The maximum number of values on the stack; PyTorch's pickles have a few thousand. */
const MOST_STACKED = 2 ** 20;

const MARK = Symbol("mark");
type Slot = Pickled | typeof MARK;

/** Reads the pickle that starts at byte `start`.
 *
 * ```ts
 * import { PickledDictionary, readPickle } from "./pickle.ts";
 * import assert from "node:assert/strict";
 * const bytes = new TextEncoder().encode("}U\x01aK\x05s."); // {"a": 5}
 * const refuse = (): never => {
 *   throw new RangeError("it must be plain data");
 * };
 * const { value, end } = readPickle(bytes, 0, { reduce: refuse, persistent: refuse, fail: refuse });
 * assert.ok(value instanceof PickledDictionary && value.entries.get("a") === 5);
 * assert.equal(end, bytes.length);
 * ```
 * @returns the value, and the byte after the pickle
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  owner: PickleOwner,
): { readonly value: Pickled; readonly end: number } {
  const reader = new PickleReader(bytes, start, owner);
  const value = reader.run();
  return { value, end: reader.at };
}

class PickleReader {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #owner: PickleOwner;
  readonly #stack: Slot[] = [];
  readonly #memo: Pickled[] = [];
  #left: number;

  constructor(bytes: Uint8Array, start: number, owner: PickleOwner) {
    this.#bytes = bytes;
    this.#left = FREE_BYTES + EXPANSION * (bytes.length - start);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#owner = owner;
    this.at = start;
  }

  run(): Pickled {
    for (;;) {
      const opcode = String.fromCharCode(this.#number(1, "getUint8"));
      if (opcode === ".") return this.#pop();
      this.#step(opcode);
      if (this.#stack.length > MOST_STACKED) {
        this.#owner.fail(
          `its pickle must have at most ${MOST_STACKED} values on its stack`,
          "more",
        );
      }
    }
  }

  /** Counts memory before it is allocated. */
  #charge(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) {
      this.#owner.fail(
        "its pickle must create values in proportion to its size",
        "too many values",
      );
    }
  }

  /** Pushes a value that takes `bytes` of memory. */
  #push(value: Pickled, bytes: number): void {
    this.#charge(bytes);
    this.#stack.push(value);
  }

  #step(opcode: string): void {
    const stack = this.#stack;
    switch (opcode) {
      case "\x80":
        return this.#checkProtocol(this.#number(1, "getUint8"));
      case "N":
        return void stack.push(null);
      case "\x88":
        return void stack.push(true);
      case "\x89":
        return void stack.push(false);
      case "K":
        return void stack.push(this.#number(1, "getUint8"));
      case "M":
        return void stack.push(this.#number(2, "getUint16"));
      case "J":
        return void stack.push(this.#number(4, "getInt32"));
      case "\x8a":
        return this.#push(this.#long(this.#number(1, "getUint8")), OBJECT);
      case "G": // The only big-endian number.
        this.#take(8);
        return this.#push(this.#view.getFloat64(this.at - 8), ELEMENT);
      case "X":
      case "T":
        return void stack.push(this.#text(this.#number(4, "getUint32")));
      case "U":
        return void stack.push(this.#text(this.#number(1, "getUint8")));
      case "(":
        return void stack.push(MARK);
      case ")":
      case "]":
        return this.#push([], LIST);
      case "}":
        return this.#push(new PickledDictionary(), DICTIONARY);
      case "\x85":
      case "\x86":
      case "\x87":
        return this.#push(this.#popped(opcode.charCodeAt(0) - 0x84), LIST);
      case "t":
        return this.#pushTuple(this.#aboveMark());
      case "a":
        return this.#append([this.#pop()]);
      case "e":
        return this.#append(this.#aboveMark());
      case "s":
        return this.#setItems(this.#popped(2));
      case "u":
        return this.#setItems(this.#aboveMark());
      case "q":
        return this.#remember(this.#number(1, "getUint8"));
      case "r":
        return this.#remember(this.#number(4, "getUint32"));
      case "h":
        return void stack.push(this.#remembered(this.#number(1, "getUint8")));
      case "j":
        return void stack.push(this.#remembered(this.#number(4, "getUint32")));
      case "c":
        return this.#push(new PickledName(`${this.#line()}.${this.#line()}`), OBJECT);
      case "R":
        return this.#reduce();
      case "Q":
        return this.#push(this.#owner.persistent(this.#pop()), OBJECT);
      case "b":
        return this.#build();
      default:
        return this.#owner.fail(
          "its pickle must hold plain data and tensors only",
          `opcode ${JSON.stringify(opcode)}`,
        );
    }
  }

  #checkProtocol(protocol: number): void {
    if (protocol !== 2) this.#owner.fail("its pickle must be of protocol 2", `${protocol}`);
  }

  /** Consumes bytes, which must exist. */
  #take(length: number): Uint8Array {
    if (this.at + length > this.#bytes.length) {
      this.#owner.fail("its pickle must be complete", "a truncated one");
    }
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #number(length: number, get: "getUint8" | "getUint16" | "getInt32" | "getUint32"): number {
    this.#take(length);
    return this.#view[get](this.at - length, true);
  }

  /** A two's complement integer of `length` bytes, little-endian. */
  #long(length: number): bigint {
    const digits = [...this.#take(length)].reverse();
    const value = digits.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return length === 0 ? 0n : BigInt.asIntN(8 * length, value);
  }

  #text(length: number): string {
    const bytes = this.#take(length);
    this.#charge(TEXT + 2 * length);
    return new TextDecoder().decode(bytes);
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end < 0 || end - this.at > 200) {
      this.#owner.fail("its pickle must name classes in short lines", "a longer one");
    }
    const line = this.#text(end - this.at);
    this.at++;
    return line;
  }

  #top(): Pickled {
    const top = this.#stack.at(-1);
    if (top === undefined || top === MARK) {
      return this.#owner.fail("its pickle must have a value on its stack", "an empty stack");
    }
    return top;
  }

  #pop(): Pickled {
    const top = this.#top();
    this.#stack.pop();
    return top;
  }

  #popped(count: number): Pickled[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  #aboveMark(): Pickled[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) return this.#owner.fail("its pickle must set a mark", "none");
    const values = this.#stack.splice(mark) as [typeof MARK, ...Pickled[]];
    return values.slice(1) as Pickled[];
  }

  #pushTuple(values: readonly Pickled[]): void {
    this.#push(values, LIST + ELEMENT * values.length);
  }

  #append(values: readonly Pickled[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) {
      return this.#owner.fail("its pickle must append to lists", "another value");
    }
    this.#charge(ELEMENT * values.length);
    for (const value of values) list.push(value);
  }

  #setItems(items: readonly Pickled[]): void {
    const dictionary = this.#top();
    if (!(dictionary instanceof PickledDictionary) || items.length % 2 !== 0) {
      return this.#owner.fail("its pickle must set items of dictionaries", "another value");
    }
    this.#charge(ITEM * items.length / 2);
    for (let at = 0; at < items.length; at += 2) {
      const given = items[at], key = given instanceof PickledName ? given.name : given;
      if (typeof key !== "string" && typeof key !== "number") {
        return this.#owner.fail("the keys must be strings, numbers or classes", `${typeof key}`);
      }
      dictionary.entries.set(`${key}`, items[at + 1]);
    }
  }

  /** Stores the top of the stack in the memo. Places must be used in order, so that none exceeds the number of
   * bytes. */
  #remember(place: number): void {
    if (place >= this.#bytes.length) {
      this.#owner.fail("its pickle must fill its memo in order", `${place}`);
    }
    this.#charge(PLACE);
    this.#memo[place] = this.#top();
  }

  #remembered(place: number): Pickled {
    const value = this.#memo[place];
    if (value === undefined) {
      return this.#owner.fail(
        "its pickle must store a value before it repeats it",
        `nothing at ${place}`,
      );
    }
    return value;
  }

  #reduce(): void {
    const [name, args] = this.#popped(2);
    if (!(name instanceof PickledName) || !Array.isArray(args)) {
      return this.#owner.fail("its pickle must call a class or function by name", "another value");
    }
    this.#push(this.#owner.reduce(name.name, args), OBJECT);
  }

  /** Ignores attributes of a dictionary, such as a module's versions. */
  #build(): void {
    this.#pop();
    if (!(this.#top() instanceof PickledDictionary)) {
      this.#owner.fail("its pickle must hold plain data and tensors only", "an object's state");
    }
  }
}
