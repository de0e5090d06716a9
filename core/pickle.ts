/** Python's pickle format, as far as data needs it: no code is run, no class is made, and what is not understood is
 * refused.
 *
 * Source: Python's Lib/pickletools.py; protocol 2, which PyTorch writes. A program of opcodes fills a stack; what is
 * read is bounded by the bytes that there are, since an opcode pushes at most one value.
 */

/** What a pickle may hold. Tuples and lists are both arrays, long integers bigints. */
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
  /** The entries in order; keys are strings or numbers. */
  readonly entries: Map<string | number, Pickled> = new Map();
}

/** A class or function that a pickle names: `collections.OrderedDict`. */
export class PickledName {
  /** Takes the name, which nothing looks up. */
  constructor(readonly name: string) {}
}

/** Something that the reader's owner made of a name with arguments, or of a persistent id. */
export class PickledObject {
  /** Wraps what was made. */
  constructor(readonly value: unknown) {}
}

/** What a pickle's owner decides. */
export interface PickleOwner {
  /** Makes an object of a named class or function and its arguments, or throws. */
  reduce(name: string, args: readonly Pickled[]): Pickled;
  /** Finds what a persistent id stands for, or throws. */
  persistent(id: Pickled): Pickled;
  /** Refuses the pickle. */
  fail(requirement: string, actual: string): never;
}

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
  readonly #memo = new Map<number, Pickled>();

  constructor(bytes: Uint8Array, start: number, owner: PickleOwner) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#owner = owner;
    this.at = start;
  }

  run(): Pickled {
    for (;;) {
      const opcode = String.fromCharCode(this.#number(1, "getUint8"));
      if (opcode === ".") return this.#pop();
      this.#step(opcode);
    }
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
        return void stack.push(this.#long(this.#number(1, "getUint8")));
      case "G": // The only number whose first byte is the greatest.
        this.#take(8);
        return void stack.push(this.#view.getFloat64(this.at - 8));
      case "X":
        return void stack.push(this.#text(this.#number(4, "getUint32")));
      case "T":
        return void stack.push(this.#text(this.#number(4, "getUint32")));
      case "U":
        return void stack.push(this.#text(this.#number(1, "getUint8")));
      case "(":
        return void stack.push(MARK);
      case ")":
      case "]":
        return void stack.push([]);
      case "}":
        return void stack.push(new PickledDictionary());
      case "\x85":
      case "\x86":
      case "\x87":
        return void stack.push(this.#popped(opcode.charCodeAt(0) - 0x84));
      case "t":
        return void stack.push(this.#aboveMark());
      case "a":
        return this.#append([this.#pop()]);
      case "e":
        return this.#append(this.#aboveMark());
      case "s":
        return this.#setItems(this.#popped(2));
      case "u":
        return this.#setItems(this.#aboveMark());
      case "q":
        return void this.#memo.set(this.#number(1, "getUint8"), this.#top());
      case "r":
        return void this.#memo.set(this.#number(4, "getUint32"), this.#top());
      case "h":
        return void stack.push(this.#remembered(this.#number(1, "getUint8")));
      case "j":
        return void stack.push(this.#remembered(this.#number(4, "getUint32")));
      case "c":
        return void stack.push(new PickledName(`${this.#line()}.${this.#line()}`));
      case "R":
        return this.#reduce();
      case "Q":
        return void stack.push(this.#owner.persistent(this.#pop()));
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

  /** Steps over bytes that must be there. */
  #take(length: number): Uint8Array {
    if (this.at + length > this.#bytes.length) {
      this.#owner.fail("its pickle must be whole", "a truncated one");
    }
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #number(length: number, get: "getUint8" | "getUint16" | "getInt32" | "getUint32"): number {
    this.#take(length);
    return this.#view[get](this.at - length, true);
  }

  /** A two's complement of so many bytes, the lowest first. */
  #long(length: number): bigint {
    const digits = [...this.#take(length)].reverse();
    const value = digits.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return length === 0 ? 0n : BigInt.asIntN(8 * length, value);
  }

  #text(length: number): string {
    return new TextDecoder().decode(this.#take(length));
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
      return this.#owner.fail("its pickle must find what it works on", "an empty stack");
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

  #append(values: readonly Pickled[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) return this.#owner.fail("its pickle must append to lists", "another");
    for (const value of values) list.push(value);
  }

  #setItems(items: readonly Pickled[]): void {
    const dictionary = this.#top();
    if (!(dictionary instanceof PickledDictionary) || items.length % 2 !== 0) {
      return this.#owner.fail("its pickle must set items of dictionaries", "another");
    }
    for (let at = 0; at < items.length; at += 2) {
      const key = items[at];
      if (typeof key !== "string" && typeof key !== "number") {
        return this.#owner.fail("the keys must be strings or numbers", `${typeof key}`);
      }
      dictionary.entries.set(key, items[at + 1]);
    }
  }

  #remembered(place: number): Pickled {
    const value = this.#memo.get(place);
    if (value === undefined) {
      return this.#owner.fail("its pickle must remember what it repeats", `nothing at ${place}`);
    }
    return value;
  }

  #reduce(): void {
    const [name, args] = this.#popped(2);
    if (!(name instanceof PickledName) || !Array.isArray(args)) {
      return this.#owner.fail("its pickle must call what it names", "another value");
    }
    this.#stack.push(this.#owner.reduce(name.name, args));
  }

  /** Attributes of a dictionary, such as a module's versions, say nothing about its entries. */
  #build(): void {
    this.#pop();
    if (!(this.#top() instanceof PickledDictionary)) {
      this.#owner.fail("its pickle must hold plain data and tensors only", "an object's state");
    }
  }
}
