/** Parses the JSON header of a safetensors file, name by name. Only names, types, shapes and ranges are built in
 * memory, whatever the text contains. */

/** The element types that can be read, with their sizes in bytes. */
const ELEMENT_BYTES = { F32: 4, F16: 2, I32: 4 } as const;

/** An element type. */
export type ElementType = keyof typeof ELEMENT_BYTES;

/** A header's entry for an array. */
export interface HeaderEntry {
  /** Its name. */
  readonly name: string;
  /** The type of its elements. */
  readonly dtype: ElementType;
  /** The lengths of its axes. */
  readonly shape: readonly number[];
  /** The offset of its first byte in the data. */
  readonly start: number;
  /** The offset after its last byte. */
  readonly end: number;
}

/** A header. */
export interface Header {
  /** The arrays, in the header's order. */
  readonly entries: readonly HeaderEntry[];
  /** Free text by name. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The key of the metadata. */
export const METADATA = "__metadata__";
/** The maximum number of arrays in a file. */
export const MOST_TENSORS = 2 ** 15;
/** The maximum number of entries of the metadata. */
const MOST_TEXTS = 10_000;
/** The maximum number of axes of an array. */
const MOST_AXES = 64;
/** The element types in messages. */
const DTYPES = "F32, F16 or I32";
/** A non-negative integer, followed by a space, a comma or a bracket. */
const COUNT = /(?:0|[1-9]\d{0,15})(?=[\s,\]])/y;

/** Rejects the header. */
export type Fail = (requirement: string, actual: string) => never;

/** Reads a header.
 * @throws {RangeError} made by `fail`: the text is not JSON, not a header, or exceeds the limits of a header
 */
export function parseHeader(bytes: Uint8Array, fail: Fail): Header {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    return fail("the header must be JSON in UTF-8", (error as Error).message);
  }
  return new HeaderReader(text, fail).read();
}

/** Shortens a text for error messages. */
export function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

class HeaderReader {
  readonly #text: string;
  readonly #fail: Fail;
  #at = 0;

  constructor(text: string, fail: Fail) {
    this.#text = text;
    this.#fail = fail;
  }

  read(): Header {
    const entries: HeaderEntry[] = [];
    let metadata = new Map<string, string>();
    this.#object(MOST_TENSORS + 1, "arrays", (name) => {
      if (this.#next() !== "{") {
        this.#fail(`${show(name)} in the header must be an object`, this.#shown());
      }
      if (name === METADATA) metadata = this.#metadata();
      else entries.push(this.#entry(name));
    });
    if (this.#next() !== "") this.#notJson();
    return { entries, metadata };
  }

  #metadata(): Map<string, string> {
    const texts = new Map<string, string>();
    this.#object(MOST_TEXTS, "texts in its metadata", (key) => {
      if (this.#next() !== '"') {
        this.#fail(`the metadata ${show(key)} must be a string`, this.#shown());
      }
      texts.set(key, this.#string());
    });
    return texts;
  }

  #entry(name: string): HeaderEntry {
    let dtype: ElementType | undefined;
    let shape: readonly number[] | undefined, range: readonly number[] | undefined;
    this.#object(4, `properties of ${show(name)}`, (property) => {
      const from = this.#at;
      if (property === "dtype") dtype = this.#dtype(name);
      else if (property === "shape") {
        shape = this.#counts(MOST_AXES) ?? this.#badShape(name, from);
      } else if (property === "data_offsets") {
        range = this.#counts(2) ?? this.#badRange(name, from);
        if (range.length !== 2 || range[0] > range[1]) this.#badRange(name, from);
      } else {
        this.#fail(`${show(name)} may have a dtype, a shape and data_offsets`, show(property));
      }
    });
    if (dtype === undefined) {
      return this.#fail(`${show(name)} must be of dtype ${DTYPES}`, "nothing");
    }
    shape ??= this.#badShape(name);
    range ??= this.#badRange(name);
    const [start, end] = range;
    const bytes = ELEMENT_BYTES[dtype] * shape.reduce((product, length) => product * length, 1);
    if (bytes !== end - start) {
      this.#fail(
        `${show(name)} of shape [${`${shape}`.slice(0, 80)}] takes ${bytes} bytes`,
        `a range of ${end - start}`,
      );
    }
    return { name, dtype, shape, start, end };
  }

  #dtype(name: string): ElementType {
    const from = this.#at;
    const dtype = this.#next() === '"' ? this.#string() : "";
    if (Object.hasOwn(ELEMENT_BYTES, dtype)) return dtype as ElementType;
    return this.#fail(`${show(name)} must be of dtype ${DTYPES}`, this.#shown(from));
  }

  #badShape(name: string, from?: number): never {
    return this.#fail(
      `the shape of ${show(name)} must be a list of integers of at least 0, at most ${MOST_AXES}`,
      from === undefined ? "nothing" : this.#shown(from),
    );
  }

  #badRange(name: string, from?: number): never {
    return this.#fail(
      `the data_offsets of ${show(name)} must be [start, end]`,
      from === undefined ? "nothing" : this.#shown(from),
    );
  }

  /** Reads an object. `member` reads the value for each name. */
  #object(most: number, what: string, member: (name: string) => void): void {
    this.#expect("{");
    const names = new Set<string>();
    if (this.#next() === "}") return this.#expect("}");
    do {
      const name = this.#string();
      if (names.has(name)) {
        this.#fail("every name must appear once in the header", `${show(name)} twice`);
      }
      if (names.size === most) this.#fail(`the header may have at most ${most} ${what}`, "more");
      names.add(name);
      this.#expect(":");
      member(name);
    } while (this.#follows(","));
    this.#expect("}");
  }

  /** Reads a list of at most `most` non-negative integers; undefined if it is something else. */
  #counts(most: number): readonly number[] | undefined {
    const values: number[] = [];
    if (!this.#follows("[")) return undefined;
    if (this.#follows("]")) return values;
    do {
      this.#next();
      COUNT.lastIndex = this.#at;
      const [text] = COUNT.exec(this.#text) ?? [];
      if (text === undefined || !Number.isSafeInteger(Number(text))) return undefined;
      if (values.length === most) return undefined;
      values.push(Number(text));
      this.#at += text.length;
    } while (this.#follows(","));
    return this.#follows("]") ? values : undefined;
  }

  #string(): string {
    this.#expect('"');
    const text = this.#text, start = this.#at;
    let plain = true;
    for (; this.#at < text.length && text[this.#at] !== '"'; this.#at++) {
      if (text[this.#at] === "\\") {
        this.#at++;
        plain = false;
      } else if (text[this.#at] < " ") this.#notJson();
    }
    this.#expect('"');
    if (plain) return text.slice(start, this.#at - 1);
    try {
      return JSON.parse(text.slice(start - 1, this.#at));
    } catch {
      return this.#notJson();
    }
  }

  /** Peeks at the next character that is not a space. */
  #next(): string {
    while (" \t\n\r".includes(this.#text[this.#at] ?? "x")) this.#at++;
    return this.#text[this.#at] ?? "";
  }

  #follows(character: string): boolean {
    if (this.#next() !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#follows(character)) this.#notJson();
  }

  #notJson(): never {
    return this.#fail(
      "the header must be JSON",
      this.#next() === "" ? "text that ends too soon" : `${this.#shown()} at character ${this.#at}`,
    );
  }

  /** The text from a position on, shortened. */
  #shown(from = this.#at): string {
    const end = Math.min(from + 80, this.#text.length);
    return `${this.#text.slice(from, end)}${end < this.#text.length ? "…" : ""}`;
  }
}
